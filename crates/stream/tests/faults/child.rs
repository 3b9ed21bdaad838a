//! This program as a child: `copy FROM TO` (`-` is standard input or output) says `it writes` when it does, gives up by the abort
//! handle on SIGINT and SIGTERM, and counts what is left; `pooled` runs pipelines with an async end, on a pool;
//! `bar TARGET` shows how far it is on standard error.

use std::io::Write;
use std::panic;
use std::pin::Pin;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use phalanx_stream::{AsyncSink, Cause, Chunk, Error, IntoSource, Pipe, Sink, Source, map, pipeline};
use phalanx_thread::ThreadPool;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::{Folder, LINGERING, chunk, endless, large, listed};

const INTERRUPTED: i32 = 130;
/// More than the marks hold: some of it was written.
const BEYOND_MARKS: usize = 32;

pub(super) fn main(arguments: &[String]) -> ! {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["copy", from, to] => copy(from, to),
        ["pooled"] => pooled(),
        #[cfg(feature = "bar")]
        ["bar", target] => bar(target),
        _ => exit(2),
    }
}

fn tell(error: &Error) -> ! {
    eprintln!("{error}");
    exit(if matches!(error, Error::Aborted { .. }) { INTERRUPTED } else { 1 })
}

#[track_caller]
fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < LINGERING, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn copy(from: &str, to: &str) -> ! {
    let runtime = runtime();
    let mut signals = {
        let _inside = runtime.enter();
        [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).unwrap())
    };
    let descriptors = listed("/proc/self/fd").len();
    let source = if from == "-" { Source::stdin() } else { Source::file(from) };
    let sink = if to == "-" { Sink::stdout() } else { Sink::file(to) };
    let (source, sink) = match (source, sink) {
        (Ok(source), Ok(sink)) => (source, sink),
        (Err(error), _) | (_, Err(error)) => tell(&error),
    };
    let (number, tells) = (AtomicUsize::new(0), to != "-");
    let telling = map(move |chunk: Chunk| {
        if tells && (number.fetch_add(1, Ordering::Relaxed) == BEYOND_MARKS || chunk.len() < 100) {
            println!("it writes");
        }
        Ok(chunk)
    });
    let pipeline = pipeline(source).through(telling).into(sink);
    let handle = pipeline.abort_handle();
    thread::spawn(move || {
        let [interrupt, terminate] = &mut signals;
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        handle.abort("a signal");
        // It keeps its descriptors, and itself, until they are counted.
        loop {
            thread::park();
        }
    });
    let threads = listed("/proc/self/task").len();
    let Err(error) = pipeline.run_blocking() else { exit(0) };
    wait_for("threads are left", || listed("/proc/self/task").len() == threads);
    // Who gives it up may still be about to leave it.
    wait_for("descriptors are left", || listed("/proc/self/fd").len() == descriptors);
    tell(&error)
}

/// Takes everything, and hears of the end.
struct Void {
    aborted: Arc<AtomicUsize>,
}

impl AsyncSink for Void {
    type Item = Chunk;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, _: Chunk) -> Result<(), Cause> {
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn abort(self: Pin<&mut Self>, _: &Error) {
        self.aborted.fetch_add(1, Ordering::SeqCst);
    }
}

fn pooled() -> ! {
    panic::set_hook(Box::new(|panic| {
        if !panic.to_string().contains("cursed") {
            eprintln!("{panic}")
        }
    }));
    let runtime = runtime();
    let pool = ThreadPool::builder().threads(2).build().unwrap();
    runtime.block_on(async { pool.spawn(|_| ()).await.unwrap() });
    let before = (listed("/proc/self/task"), listed("/proc/self/fd"));
    let assert_nothing_left = || {
        wait_for("threads or descriptors are left", || (listed("/proc/self/task"), listed("/proc/self/fd")) == before);
    };

    let fail = |pipe: Pipe<Chunk>, expected: &str| {
        let aborted = Arc::new(AtomicUsize::new(0));
        let sink = Sink::polled("the void", Void { aborted: aborted.clone() });
        let error = runtime.block_on(pipe.pool(&pool).into(sink).run()).map(drop).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(aborted.load(Ordering::SeqCst), 1, "{expected}");
        assert_nothing_left();
    };
    let failing = || map(|chunk: Chunk| if chunk[0] == 20 { Err("it smells".into()) } else { Ok(chunk) });
    let panicking = || {
        map(|chunk: Chunk| {
            assert!(chunk[0] != 20, "cursed");
            Ok(chunk)
        })
    };
    fail(pipeline(large()).through(failing()), "map: it smells");
    fail(pipeline(large()).through(failing().parallel(2)), "map: it smells");
    fail(pipeline(large()).through(panicking()), "map panicked: cursed");
    fail(pipeline(large()).through(panicking().parallel(2)), "map panicked: cursed");
    let torn = stream::iter(0..64).map(|number| if number == 20 { Err("it is torn") } else { Ok(chunk(number)) });
    fail(pipeline(Source::stream("the tape", torn)), "cannot read the tape: it is torn");

    dropped_future(&runtime, &pool);
    assert_nothing_left();
    for quiet in [false, true] {
        dropped_reader(&runtime, &pool, quiet);
        assert_nothing_left();
    }
    exit(0)
}

/// The future of an endless pipeline into a file, dropped in the middle.
fn dropped_future(runtime: &Runtime, pool: &ThreadPool) {
    let folder = Folder::new();
    let source = Source::stream("the well", stream::repeat_with(|| Ok::<_, Cause>(chunk(1))));
    let sink = Sink::file(folder.target()).unwrap();
    let running = pipeline(source).pool(pool).through(map(Ok).parallel(2)).into(sink).run();
    runtime.block_on(async {
        let waited = tokio::time::timeout(Duration::from_millis(100), running).await;
        assert!(waited.is_err(), "it has an end");
    });
    folder.assert_untouched(&[]);
}

/// The reader of a pipeline goes, while its source reads on or waits.
fn dropped_reader(runtime: &Runtime, pool: &ThreadPool, is_quiet: bool) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"a beginning").unwrap();
    let source = if is_quiet { reader.into_source() } else { endless() };
    let mut stream = pipeline(source).pool(pool).through(map(Ok).parallel(2)).into_readable();
    runtime.block_on(async {
        stream.next().await.unwrap().unwrap();
        let more = tokio::time::timeout(Duration::from_millis(20), stream.next()).await;
        assert_eq!(more.is_err(), is_quiet);
    });
}

#[cfg(feature = "bar")]
fn bar(target: &str) -> ! {
    let sink = match Sink::file(target) {
        Ok(sink) => sink,
        Err(error) => tell(&error),
    };
    let slow = map(|chunk: Chunk| {
        thread::sleep(Duration::from_millis(10));
        Ok(chunk)
    });
    let pipeline = pipeline(large().total(16 << 20)).through(slow).into(sink);
    let bar = pipeline.progress().bar().unwrap();
    println!("{}", if bar.is_hidden() { "hidden" } else { "shown" });
    let outcome = pipeline.run_blocking();
    wait_for("the thread of the bar is left", || listed("/proc/self/task").len() == 1);
    match outcome {
        Ok(_) => exit(0),
        Err(error) => tell(&error),
    }
}
