//! Transforms that fail or panic in the middle, at every place of a pipeline.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};

use phalanx_stream::{Cause, Chunk, Error, Map, Sink, map, pipeline};

use super::{Folder, Scenario, large};

pub(super) const ALL: &[Scenario] = &[
    ("a transform fails in the middle", transform_fails),
    ("a transform panics in the middle", transform_panics),
    ("a parallel transform fails in the middle", parallel_fails),
    ("a parallel transform panics in the middle", parallel_panics),
    ("the transform before an async sink fails", before_async_fails),
];

/// The chunk with this number goes wrong.
const WRONG: usize = 20;

fn whole() -> Map<Chunk, Chunk, impl Fn(Chunk) -> Result<Chunk, Cause>> {
    map(Ok)
}

fn failing() -> Map<Chunk, Chunk, impl Fn(Chunk) -> Result<Chunk, Cause>> {
    let number = AtomicUsize::new(0);
    map(move |chunk| if number.fetch_add(1, Ordering::Relaxed) == WRONG { Err("it smells".into()) } else { Ok(chunk) })
}

fn panicking() -> Map<Chunk, Chunk, impl Fn(Chunk) -> Result<Chunk, Cause>> {
    let number = AtomicUsize::new(0);
    map(move |chunk| {
        assert!(number.fetch_add(1, Ordering::Relaxed) != WRONG, "number {WRONG} is cursed");
        Ok(chunk)
    })
}

#[track_caller]
fn assert_fails(outcome: Result<impl Sized, Error>) {
    let Err(error) = outcome else { panic!("it cannot go on") };
    assert!(matches!(error, Error::Transform { .. }), "{error}");
    assert_eq!(error.to_string(), "map: it smells");
}

#[track_caller]
fn assert_panics(outcome: Result<impl Sized, Error>) {
    let Err(error) = outcome else { panic!("it cannot go on") };
    let Error::Panicked { part, message } = &error else { panic!("{error}") };
    assert_eq!(part, "map");
    assert!(message.starts_with("number 20 is cursed"), "{message}");
}

/// Without what a panic prints.
fn quietly(work: impl FnOnce()) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(work));
    panic::set_hook(hook);
    if let Err(panicked) = outcome {
        println!("{:?}", panicked.downcast_ref::<String>());
        panic::resume_unwind(panicked);
    }
}

fn transform_fails() {
    let folder = Folder::new();
    let sink = || Sink::file(folder.target()).unwrap();
    assert_fails(pipeline(large()).through(failing()).into(sink()).run_blocking());
    assert_fails(pipeline(large()).through(failing()).through(whole()).into(sink()).run_blocking());
    assert_fails(pipeline(large()).through(whole().parallel(2)).through(failing()).into(sink()).run_blocking());
    folder.assert_untouched(&[]);
}

fn transform_panics() {
    let folder = Folder::new();
    let sink = || Sink::file(folder.target()).unwrap();
    quietly(|| {
        assert_panics(pipeline(large()).through(panicking()).into(sink()).run_blocking());
        assert_panics(pipeline(large()).through(whole()).through(panicking()).into(sink()).run_blocking());
        assert_panics(pipeline(large()).threads(1).through(panicking()).into(sink()).run_blocking());
    });
    folder.assert_untouched(&[]);
}

fn parallel_fails() {
    let folder = Folder::new();
    for permits in [1, 2, 8] {
        for threads in [1, 4] {
            let sink = Sink::file(folder.target()).unwrap();
            let pipe = pipeline(large()).threads(threads).through(failing().parallel(permits));
            assert_fails(pipe.through(whole()).into(sink).run_blocking());
            folder.assert_untouched(&[]);
        }
    }
}

fn parallel_panics() {
    let folder = Folder::new();
    quietly(|| {
        for permits in [1, 2, 8] {
            for threads in [1, 4] {
                let sink = Sink::file(folder.target()).unwrap();
                let pipe = pipeline(large()).threads(threads).through(panicking().parallel(permits));
                assert_panics(pipe.through(whole()).into(sink).run_blocking());
                folder.assert_untouched(&[]);
            }
        }
    });
}

fn before_async_fails() {
    // The pool has threads of its own, which end with the pool.
    super::processes::succeed("pooled");
}
