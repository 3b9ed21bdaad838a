//! How pipelines run: order, errors and panics anywhere, abort at any moment, nothing left behind, bounded memory.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use phalanx_stream::{
    AsyncSink, BlockingSink, BlockingSource, Buffers, CHUNK_BYTES, Cause, Chunk, Error, Flow, Outlet,
    ParallelTransform, Pipe, Pipeline, Sink, Source, Spreading, Summary, Transform, map, pipeline,
};
use phalanx_thread::ThreadPool;
use proptest::prelude::*;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Only one test at a time may count the threads and descriptors of the process; the others share it.
static WHOLE_PROCESS: std::sync::RwLock<()> = std::sync::RwLock::new(());

fn beside_others() -> std::sync::RwLockReadGuard<'static, ()> {
    WHOLE_PROCESS.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn alone() -> std::sync::RwLockWriteGuard<'static, ()> {
    WHOLE_PROCESS.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Names of the threads of pipelines in this process.
fn stream_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    // The pool of the process stays.
    names.filter(|name| name.starts_with("stream") && !name.starts_with("stream-pool")).collect()
}

fn descriptors() -> usize {
    // The first runtime of the process opens a pair of sockets for signals, which stays.
    drop(runtime());
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until it is true; the deadline is for when it never will be.
fn eventually(what: &str, is_true: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < until, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Numbers that are thoroughly mixed, from a seed.
fn mixed(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn dawdle(seed: u64) {
    match mixed(seed) % 16 {
        0 => thread::sleep(Duration::from_micros(mixed(seed ^ 1) % 300)),
        1..4 => thread::yield_now(),
        _ => {}
    }
}

/// How a sink or source stands in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Blocks,
    Polled,
}

const ENDS: [(End, End); 4] =
    [(End::Blocks, End::Blocks), (End::Blocks, End::Polled), (End::Polled, End::Blocks), (End::Polled, End::Polled)];

fn numbers(end: End, count: u64) -> Source<u64> {
    match end {
        End::Blocks => Source::iter(0..count),
        End::Polled => Source::stream("numbers", stream::iter((0..count).map(Ok::<_, Cause>))),
    }
}

/// A sink that notes what it hears.
#[derive(Clone, Default)]
struct Heard(Arc<Notes>);

#[derive(Default)]
struct Notes {
    items: Mutex<Vec<u64>>,
    finished: AtomicUsize,
    aborted: Mutex<Vec<String>>,
    is_inside: AtomicBool,
}

impl Heard {
    fn sink(&self, end: End) -> Sink<u64> {
        match end {
            End::Blocks => Sink::blocking("notes", self.clone()),
            End::Polled => Sink::polled("notes", self.clone()),
        }
    }

    fn items(&self) -> Vec<u64> {
        self.0.items.lock().unwrap().clone()
    }

    fn note(&self, item: u64) {
        assert!(!self.0.is_inside.swap(true, Ordering::SeqCst), "two at a time");
        self.0.items.lock().unwrap().push(item);
        self.0.is_inside.store(false, Ordering::SeqCst);
    }
}

impl BlockingSink for Heard {
    type Item = u64;

    fn write(&mut self, item: u64) -> Result<(), Cause> {
        self.note(item);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Cause> {
        self.0.finished.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn abort(&mut self, error: &Error) {
        self.0.aborted.lock().unwrap().push(error.to_string());
    }
}

impl AsyncSink for Heard {
    type Item = u64;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, item: u64) -> Result<(), Cause> {
        self.note(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.finished.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }

    fn abort(self: Pin<&mut Self>, error: &Error) {
        self.0.aborted.lock().unwrap().push(error.to_string());
    }
}

/// A transform that notes whether it was aborted.
struct Listening {
    fails_at: Option<u64>,
    panics_at: Option<u64>,
    aborted: Arc<AtomicUsize>,
}

impl Transform for Listening {
    type In = u64;
    type Out = u64;

    fn name(&self) -> Cow<'static, str> {
        "listening".into()
    }

    fn transform(&mut self, input: u64, out: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
        if self.fails_at == Some(input) {
            return Err("it failed".into());
        }
        assert!(self.panics_at != Some(input), "it panicked");
        out.push(input);
        Ok(Flow::Next)
    }

    fn abort(&mut self, _: &Error) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

impl ParallelTransform for Listening {
    type In = u64;
    type Out = u64;

    fn name(&self) -> Cow<'static, str> {
        "listening".into()
    }

    fn apply(&self, _: u64, input: u64, out: &mut Outlet<'_, u64>) -> Result<(), Cause> {
        if self.fails_at == Some(input) {
            return Err("it failed".into());
        }
        assert!(self.panics_at != Some(input), "it panicked");
        out.push(input);
        Ok(())
    }

    fn abort(&self, _: &Error) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

fn run(pipeline: Pipeline, how: End) -> Result<Summary, Error> {
    match how {
        End::Blocks => pipeline.run_blocking(),
        End::Polled => runtime().block_on(async { tokio::time::timeout(DEADLINE, pipeline.run()).await.unwrap() }),
    }
}

#[test]
fn results_come_in_order_however_long_each_takes() {
    let _shared = beside_others();
    for (round, (from, to)) in ENDS.into_iter().enumerate() {
        for permits in [1, 2, 5] {
            let heard = Heard::default();
            let slow = map(move |number: u64| {
                dawdle(number + round as u64 * 7);
                Ok(number * 3)
            });
            let pipe = pipeline(numbers(from, 3000)).threads(4).through(slow.parallel(permits));
            let summary = run(pipe.into(heard.sink(to)), from).unwrap();
            assert_eq!(
                heard.items(),
                (0..3000).map(|number| number * 3).collect::<Vec<_>>(),
                "{from:?} {to:?} {permits}"
            );
            assert_eq!((summary.read, summary.written, heard.0.finished.load(Ordering::SeqCst)), (3000, 3000, 1));
        }
    }
}

/// The slow part decides the speed, and nobody gets stuck.
#[test]
fn a_slow_part_may_stand_anywhere() {
    let _shared = beside_others();
    for (from, to) in ENDS {
        for slow in 0..4 {
            for threads in [1, 3] {
                let heard = Heard::default();
                let pass = move |place: usize| {
                    map(move |number: u64| {
                        if place == slow && number.is_multiple_of(10) {
                            thread::sleep(Duration::from_micros(200));
                        }
                        Ok(number)
                    })
                };
                let pipe = pipeline(numbers(from, 400)).mark(8).threads(threads);
                let pipe = pipe.through(pass(0)).mark(4).through(pass(1).parallel(2)).mark(3);
                let pipe = pipe.through(pass(2)).mark(1).through(pass(3)).mark(1);
                run(pipe.into(heard.sink(to)), to).unwrap();
                assert_eq!(heard.items(), (0..400).collect::<Vec<_>>(), "{from:?} {to:?} {slow} {threads}");
            }
        }
    }
}

#[test]
fn an_error_or_panic_anywhere_is_told_to_every_part_once() {
    let _shared = beside_others();
    for (from, to) in ENDS {
        for at in [0, 1, 700, 1999] {
            for guilty in 0..3 {
                for panics in [false, true] {
                    let heard = Heard::default();
                    let aborted: [Arc<AtomicUsize>; 3] = Default::default();
                    let part = |place: usize| Listening {
                        fails_at: (place == guilty && !panics).then_some(at),
                        panics_at: (place == guilty && panics).then_some(at),
                        aborted: aborted[place].clone(),
                    };
                    let pipe = pipeline(numbers(from, 2000)).through(part(0)).through(Spreading::new(part(1), 3));
                    let error = run(pipe.through(part(2)).into(heard.sink(to)), from).unwrap_err();
                    match (&error, panics) {
                        (Error::Transform { name, cause }, false) => {
                            assert_eq!((name.as_str(), cause.to_string().as_str()), ("listening", "it failed"));
                        }
                        (Error::Panicked { part, message }, true) => {
                            assert!(part == "listening" && message.starts_with("it panicked"), "{message}");
                        }
                        _ => panic!("{error:?}"),
                    }
                    // One that had done everything before has nothing to take back.
                    let told: Vec<_> = aborted.iter().map(|count| count.load(Ordering::SeqCst)).collect();
                    assert!(
                        told.iter().all(|times| *times <= 1) && told[guilty..].iter().all(|times| *times == 1),
                        "{told:?}"
                    );
                    assert_eq!(*heard.0.aborted.lock().unwrap(), [error.to_string()]);
                    assert_eq!(heard.0.finished.load(Ordering::SeqCst), 0);
                    assert!(
                        heard.items().iter().copied().eq(0..heard.items().len() as u64),
                        "a part of them, in order"
                    );
                }
            }
        }
    }
}

struct FailingEnd {
    after: u64,
    panics: bool,
    aborted: Arc<AtomicUsize>,
}

impl FailingEnd {
    fn next(&mut self) -> Result<u64, Cause> {
        if self.after == 0 {
            assert!(!self.panics, "the end panicked");
            return Err(std::io::Error::other("broken").into());
        }
        self.after -= 1;
        Ok(self.after)
    }
}

impl BlockingSource for FailingEnd {
    type Item = u64;

    fn read(&mut self, _: &Buffers) -> Result<Option<u64>, Cause> {
        self.next().map(Some)
    }

    fn abort(&mut self, _: &Error) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

impl BlockingSink for FailingEnd {
    type Item = u64;

    fn write(&mut self, _: u64) -> Result<(), Cause> {
        self.next().map(drop)
    }

    fn finish(&mut self) -> Result<(), Cause> {
        self.next().map(drop)
    }

    fn abort(&mut self, _: &Error) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_end_that_fails_or_panics_ends_the_other() {
    let _shared = beside_others();
    for other in [End::Blocks, End::Polled] {
        for panics in [false, true] {
            let (aborted, heard) = (Arc::new(AtomicUsize::new(0)), Heard::default());
            let failing = || FailingEnd { after: 500, panics, aborted: aborted.clone() };
            let pass = || map(|number: u64| Ok(number)).parallel(2);
            let from_failing = pipeline(Source::blocking("failing", failing())).through(pass());
            let error = run(from_failing.into(heard.sink(other)), other).unwrap_err();
            assert!(matches!(&error, Error::Source { what, .. } if what == "failing") != panics, "{error}");
            assert_eq!(error.cause_as::<std::io::Error>().is_some(), !panics);
            assert_eq!((aborted.load(Ordering::SeqCst), heard.0.aborted.lock().unwrap().len()), (1, 1));

            let to_failing = pipeline(numbers(other, u64::MAX)).through(pass());
            let error = run(to_failing.into(Sink::blocking("failing", failing())), other).unwrap_err();
            assert!(matches!(&error, Error::Sink { what, .. } if what == "failing") != panics, "{error}");
            assert_eq!(aborted.load(Ordering::SeqCst), 2);
        }
    }
    // Also when all was written and only the end fails.
    let aborted = Arc::new(AtomicUsize::new(0));
    let sink = FailingEnd { after: 10, panics: false, aborted: aborted.clone() };
    let error = pipeline(Source::iter(0..10)).into(Sink::blocking("failing", sink)).run_blocking().unwrap_err();
    assert!(matches!(error, Error::Sink { .. }) && aborted.load(Ordering::SeqCst) == 1);
}

/// The error of a stream inside of another is not wrapped again.
#[test]
fn an_error_of_ours_as_a_cause_stays_what_it_is() {
    let _shared = beside_others();
    let inner = Error::PrematureClose { what: "a socket".to_owned() };
    let source = Source::stream("outer", stream::iter([Err::<u64, _>(inner)]));
    let error = pipeline(source).collect_blocking().unwrap_err();
    assert!(matches!(error, Error::PrematureClose { .. }), "{error}");
}

/// Never ends by itself, has a bit of everything.
fn endless(from: End, to: End, seed: u64, heard: &Heard) -> Pipeline {
    let pipe: Pipe<u64> = pipeline(numbers(from, u64::MAX)).threads(3).mark(64);
    let work = map(move |number: u64| {
        dawdle(number ^ seed);
        Ok(number)
    });
    let slowly = map(move |number: u64| {
        dawdle(number ^ seed ^ 5);
        Ok(number)
    });
    pipe.through(work.parallel(2)).mark(16).through(slowly).into(heard.sink(to))
}

#[test]
fn an_abort_at_any_moment_leaves_no_thread_and_no_descriptor() {
    let _alone = alone();
    let before = descriptors();
    for seed in 0..60 {
        let (from, to) = ENDS[seed as usize % 4];
        let heard = Heard::default();
        let pipeline = endless(from, to, seed, &heard);
        let handle = pipeline.abort_handle();
        let aborter = thread::spawn(move || {
            thread::sleep(Duration::from_micros(mixed(seed) % 3000));
            handle.abort("enough");
            handle.abort("never heard");
        });
        let error = pipeline.run_blocking().unwrap_err();
        assert!(matches!(&error, Error::Aborted { reason } if reason == "enough"), "{error}");
        assert_eq!(*heard.0.aborted.lock().unwrap(), ["aborted: enough"]);
        // A thread that was joined is listed for a moment more.
        eventually("no thread is left", || stream_threads().is_empty());
        aborter.join().unwrap();
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn a_dropped_future_gives_the_pipeline_up() {
    let _alone = alone();
    let before = descriptors();
    for seed in 0..40 {
        let (from, to) = ENDS[seed as usize % 4];
        let heard = Heard::default();
        let pipeline = endless(from, to, seed, &heard);
        let runtime = runtime();
        let patience = Duration::from_micros(mixed(seed) % 3000);
        runtime.block_on(async { tokio::time::timeout(patience, pipeline.run()).await.unwrap_err() });
        eventually("every part is told", || heard.0.aborted.lock().unwrap().len() == 1);
        eventually("all threads end", || stream_threads().is_empty());
    }
    eventually("all descriptors are closed", || descriptors() == before);
    // Also one that was never polled.
    let heard = Heard::default();
    drop(endless(End::Blocks, End::Blocks, 0, &heard).run());
    assert_eq!(heard.0.aborted.lock().unwrap().len(), 1);
}

#[test]
fn an_abort_before_the_start_counts() {
    let _shared = beside_others();
    let heard = Heard::default();
    let pipeline = pipeline(Source::iter(0..10)).into(heard.sink(End::Blocks));
    pipeline.abort_handle().abort("never mind");
    assert!(matches!(pipeline.run_blocking(), Err(Error::Aborted { .. })));
    assert_eq!((heard.items().len(), heard.0.aborted.lock().unwrap().len()), (0, 1));
}

/// A read that waits for somebody who never comes, like that of a terminal.
struct Waiting(mpsc::Receiver<u64>);

impl BlockingSource for Waiting {
    type Item = u64;

    fn read(&mut self, _: &Buffers) -> Result<Option<u64>, Cause> {
        Ok(self.0.recv().ok())
    }
}

#[test]
fn a_read_that_cannot_be_interrupted_is_left_behind_and_the_sink_is_told_without_it() {
    let _alone = alone();
    for to in [End::Blocks, End::Polled] {
        let (sender, receiver) = mpsc::channel();
        let heard = Heard::default();
        let pipeline = pipeline(Source::blocking("a terminal", Waiting(receiver))).into(heard.sink(to));
        let handle = pipeline.abort_handle();
        let running = thread::spawn(move || pipeline.run_blocking());
        sender.send(1).unwrap();
        eventually("it is written although the next read waits", || heard.items() == [1]);
        handle.abort("enough");
        // While the read still waits.
        eventually("the sink is told", || heard.0.aborted.lock().unwrap().len() == 1);
        assert!(running.join().unwrap().is_err());
        drop(sender);
        eventually("its thread ends with its wait", || stream_threads().is_empty());
    }
}

#[test]
fn pools_of_one_thread_carry_several_pipelines() {
    let _shared = beside_others();
    let pool = ThreadPool::builder().threads(1).build().unwrap();
    let running: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let heard = Heard::default();
                let work = map(|number: u64| Ok(number + 1)).parallel(3);
                let pipe = pipeline(numbers(End::Polled, 20_000)).pool(&pool).through(work);
                run(pipe.into(heard.sink(End::Polled)), End::Polled).unwrap();
                assert_eq!(heard.items(), (1..=20_000).collect::<Vec<_>>());
            })
        })
        .collect();
    running.into_iter().for_each(|running| running.join().unwrap());
}

/// Other jobs of the pool get their turn while a pipeline is at it.
#[test]
fn a_long_pipeline_lets_other_jobs_in() {
    let _shared = beside_others();
    let pool = ThreadPool::builder().threads(1).build().unwrap();
    let heard = Heard::default();
    let burn = map(|number: u64| Ok((0..2000).fold(number, |sum, step| std::hint::black_box(mixed(sum ^ step)))));
    let pipeline = pipeline(numbers(End::Polled, u64::MAX)).pool(&pool).through(burn).into(heard.sink(End::Polled));
    let handle = pipeline.abort_handle();
    let running = thread::spawn(move || run(pipeline, End::Polled));
    eventually("it runs", || heard.items().len() > 100);
    for _ in 0..20 {
        runtime().block_on(async { tokio::time::timeout(DEADLINE, pool.spawn(|_| ())).await.unwrap().unwrap() });
    }
    handle.abort("enough");
    assert!(running.join().unwrap().is_err());
}

#[test]
fn a_pool_that_is_full_is_waited_for() {
    let _shared = beside_others();
    let pool = ThreadPool::builder().threads(1).queue_limit(1).build().unwrap();
    let (open, gate) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel::<()>();
    let blocking = pool.spawn(move |_| {
        began.send(()).unwrap();
        gate.recv()
    });
    has_begun.recv().unwrap();
    let waiting = pool.spawn(|_| ());
    let heard = Heard::default();
    let work = map(|number: u64| Ok(number)).parallel(2);
    let pipeline = pipeline(numbers(End::Polled, 5000)).pool(&pool).through(work).into(heard.sink(End::Polled));
    let meter = pipeline.meter();
    let running = thread::spawn(move || run(pipeline, End::Polled));
    eventually("the source has begun", || meter.read() > 0);
    assert_eq!(meter.written(), 0);
    open.send(()).unwrap();
    running.join().unwrap().unwrap();
    assert_eq!(heard.items(), (0..5000).collect::<Vec<_>>());
    runtime().block_on(async {
        blocking.await.unwrap().unwrap();
        waiting.await.unwrap();
    });
}

#[test]
fn a_pool_that_is_closed_is_an_error() {
    let _shared = beside_others();
    let pool = ThreadPool::builder().threads(1).build().unwrap();
    pool.drain_blocking(Duration::ZERO);
    let heard = Heard::default();
    let pipe = pipeline(numbers(End::Polled, 10)).pool(&pool).through(map(|number: u64| Ok(number)));
    let error = run(pipe.into(heard.sink(End::Polled)), End::Polled).unwrap_err();
    assert!(matches!(error, Error::NoThread { .. }), "{error}");
    assert_eq!(heard.0.aborted.lock().unwrap().len(), 1);
}

/// A source that counts what it gave and what of it still exists.
struct Counting {
    alive: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    left: u64,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl BlockingSource for Counting {
    type Item = Counted;

    fn read(&mut self, _: &Buffers) -> Result<Option<Counted>, Cause> {
        self.left -= 1;
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(alive, Ordering::SeqCst);
        Ok((self.left > 0).then(|| Counted(self.alive.clone())))
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}

/// A sink that takes one, and then nothing until it is told to go on.
struct Stalled {
    gate: mpsc::Receiver<()>,
}

impl BlockingSink for Stalled {
    type Item = Counted;

    fn write(&mut self, _: Counted) -> Result<(), Cause> {
        let _ = self.gate.recv();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Cause> {
        Ok(())
    }
}

#[test]
fn what_is_under_way_is_bounded_by_the_marks() {
    let _shared = beside_others();
    let (open, gate) = mpsc::channel();
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let source = Counting { alive: alive.clone(), most: most.clone(), left: 5000 };
    let pass = || map(|item: Counted| Ok(item));
    const MARKS: [usize; 3] = [40, 24, 16];
    const PERMITS: usize = 2;
    let pipe = pipeline(Source::blocking("counted", source)).threads(3).mark(MARKS[0]);
    let pipe = pipe.through(pass()).mark(MARKS[1]).through(pass().parallel(PERMITS)).mark(MARKS[2]);
    let running = pipe.into(Sink::blocking("stalled", Stalled { gate }));
    let running = thread::spawn(move || running.run_blocking());
    // Nothing moves any more: the bound is reached, whatever it is.
    let still = |alive: &AtomicUsize| {
        let before = alive.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(100));
        before > 0 && alive.load(Ordering::SeqCst) == before
    };
    eventually("it comes to rest", || still(&alive));
    drop(open);
    running.join().unwrap().unwrap();
    // A step takes at most a quarter of the mark in front of it; the parallel part has two handfuls for each permit.
    let steps = MARKS[0] / 4 + 2 * PERMITS * (MARKS[1] / 4) + MARKS[2] / 4 + 1;
    let bound = MARKS.iter().sum::<usize>() + steps;
    assert!(most.load(Ordering::SeqCst) <= bound, "{most:?} > {bound}");
    // The last one that was counted never existed.
    assert_eq!(alive.load(Ordering::SeqCst), 1);
}

/// Run in a child by the next one, so that nothing else counts.
#[test]
#[ignore = "measures the peak memory of its process"]
fn peak_memory_of_a_long_copy() {
    struct Zeros(u64);
    impl BlockingSource for Zeros {
        type Item = Chunk;
        fn read(&mut self, buffers: &Buffers) -> Result<Option<Chunk>, Cause> {
            self.0 -= 1;
            let mut chunk = buffers.take();
            chunk.filled(CHUNK_BYTES);
            Ok((self.0 > 0).then_some(chunk))
        }
    }
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        line.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = peak();
    let upper = map(|mut chunk: Chunk| {
        chunk.make_ascii_uppercase();
        Ok(chunk)
    });
    let sink = Sink::writer("nowhere", std::io::sink());
    let summary = pipeline(Source::blocking("zeros", Zeros(1024))).threads(2).through(upper).into(sink).run_blocking();
    assert_eq!(summary.unwrap().written, 1023 * CHUNK_BYTES as u64);
    let grown = peak() - before;
    assert!(grown <= 8 << 10, "{grown} KiB more at the peak");
}

#[test]
fn memory_stays_below_8_mib_whatever_the_size() {
    let _shared = beside_others();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--test-threads=1", "peak_memory_of_a_long_copy"])
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

/// A moment is waited for without anybody who is at it.
#[test]
fn a_transform_that_waits_for_a_moment_holds_up_no_hand() {
    struct Paced {
        until: Option<Instant>,
        item: u64,
    }
    impl Transform for Paced {
        type In = u64;
        type Out = u64;
        fn name(&self) -> Cow<'static, str> {
            "paced".into()
        }
        fn transform(&mut self, input: u64, _: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
            let moment = Instant::now() + Duration::from_millis(5);
            (self.until, self.item) = (Some(moment), input);
            Ok(Flow::Until(moment))
        }
        fn resume(&mut self, out: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
            assert!(self.until.take().is_some_and(|until| until <= Instant::now()), "too early");
            out.push(self.item);
            Ok(Flow::Next)
        }
    }
    let _shared = beside_others();
    for (from, to) in ENDS {
        for threads in [1, 2] {
            let (heard, began) = (Heard::default(), Instant::now());
            let pipe = pipeline(numbers(from, 10)).threads(threads).through(Paced { until: None, item: 0 });
            run(pipe.into(heard.sink(to)), to).unwrap();
            assert_eq!(heard.items(), (0..10).collect::<Vec<_>>());
            assert!(began.elapsed() >= Duration::from_millis(50));
        }
    }
}

#[test]
fn small_items_go_in_handfuls() {
    let _shared = beside_others();
    let pipe = pipeline(Source::iter(0..1_000_000_u64)).through(map(|number: u64| Ok(number ^ 1)));
    let sum = Arc::new(AtomicU64::new(0));
    let summing = sum.clone();
    let add = map(move |number: u64| {
        summing.fetch_add(number, Ordering::Relaxed);
        Ok(number)
    });
    let (sender, receiver) = mpsc::sync_channel(1 << 20);
    let summary = pipe.through(add.parallel(2)).into(Sink::sender(sender)).run_blocking().unwrap();
    assert_eq!(receiver.into_iter().count(), 1_000_000);
    assert_eq!(sum.load(Ordering::Relaxed), (0..1_000_000).sum::<u64>());
    let steps: HashMap<_, _> = summary.parts.iter().map(|part| (part.name.clone(), part.steps)).collect();
    assert!(steps.values().all(|steps| *steps < 200_000), "{steps:?}");
}

#[test]
fn as_a_stream_it_runs_while_it_is_polled_and_stops_at_the_marks() {
    let _shared = beside_others();
    runtime().block_on(async {
        let read = Arc::new(AtomicU64::new(0));
        let reads = read.clone();
        let count = map(move |number: u64| {
            reads.fetch_add(1, Ordering::SeqCst);
            Ok(number)
        });
        let mut readable = pipeline(numbers(End::Polled, 100_000)).through(count).into_readable();
        for number in 0..10 {
            assert_eq!(readable.next().await.unwrap().unwrap(), number);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(read.load(Ordering::SeqCst) < 10_000, "{read:?}");
        let rest: Vec<_> = readable.map(Result::unwrap).collect().await;
        assert_eq!(rest, (10..100_000).collect::<Vec<_>>());

        let failing = pipeline(numbers(End::Blocks, 100))
            .through(map(|number: u64| if number < 50 { Ok(number) } else { Err("too many".into()) }));
        let mut items: Vec<_> = failing.into_readable().collect().await;
        assert!(matches!(items.pop(), Some(Err(Error::Transform { .. }))));
        assert!(items.into_iter().enumerate().all(|(number, item)| item.is_ok_and(|item| item == number as u64)));
    });
}

/// A transform that gives several for each, in pieces, and a rest at the end.
struct Several {
    times: u64,
    item: u64,
    left: u64,
    rest: u64,
}

impl Several {
    fn give(&mut self, out: &mut Outlet<'_, u64>) -> Flow {
        while self.left > 0 {
            if out.is_full() {
                return Flow::Again;
            }
            out.push(self.item);
            self.left -= 1;
        }
        Flow::Next
    }
}

impl Transform for Several {
    type In = u64;
    type Out = u64;

    fn name(&self) -> Cow<'static, str> {
        "several".into()
    }

    fn transform(&mut self, input: u64, out: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
        (self.item, self.left) = (input, self.times);
        Ok(self.give(out))
    }

    fn resume(&mut self, out: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
        Ok(self.give(out))
    }

    fn flush(&mut self, out: &mut Outlet<'_, u64>) -> Result<Flow, Cause> {
        (self.item, self.left) = (u64::MAX, self.rest);
        Ok(self.give(out))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_the_shape_everything_comes_out_in_order(
        count in 0..600_u64, times in 0..5_u64, rest in 0..40_u64, marks in prop::array::uniform4(1..50_usize),
        threads in 1..5_usize, permits in 1..4_usize, ends in 0..4_usize, seed in any::<u64>(),
    ) {
        let _shared = beside_others();
        let (from, to) = ENDS[ends];
        let heard = Heard::default();
        let work = map(move |number: u64| {
            dawdle(number ^ seed);
            Ok(number)
        });
        let pipe = pipeline(numbers(from, count)).threads(threads).mark(marks[0]);
        let pipe = pipe.through(Several { times, item: 0, left: 0, rest }).mark(marks[1]);
        let pipe = pipe.through(work.parallel(permits)).mark(marks[2]);
        let pipe = pipe.through(Several { times: 2, item: 0, left: 0, rest: 1 }).mark(marks[3]);
        run(pipe.into(heard.sink(to)), to).unwrap();
        let first = (0..count).flat_map(|number| (0..times).map(move |_| number)).chain((0..rest).map(|_| u64::MAX));
        let expected: Vec<_> = first.flat_map(|number| [number, number]).chain([u64::MAX]).collect();
        prop_assert_eq!(heard.items(), expected);
    }
}
