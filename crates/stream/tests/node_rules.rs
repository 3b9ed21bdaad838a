//! Node's rules for streams, one test each; where it is cheap, the same scenario also runs in Node itself.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::stream;
use phalanx_stream::{
    AsyncSink, Cause, Chunk, Duplex, Error, Flow, Mark, Outlet, Phase, Readable, Refused, Sink, Source, Transform,
    Writable, compose, duplex_of, finished, map, pass_through, pipeline,
};
use phalanx_thread::Cancellation;

const DEADLINE: Duration = Duration::from_secs(20);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("the test hangs") })
}

/// What a script prints in Node; `None` if there is none, which is a failure where nothing may be skipped.
fn node(script: &str) -> Option<String> {
    let Ok(output) = Command::new("node").args(["-e", script]).output() else {
        assert!(std::env::var_os("CI").is_none(), "node is missing");
        println!("skipped: the comparison with Node needs node");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

fn assert_as_in_node(ours: &str, script: &str) {
    if let Some(theirs) = node(script) {
        assert_eq!(ours, theirs, "we differ from Node");
    }
}

/// What happened to a sink.
#[derive(Debug, Default)]
struct Seen<T> {
    /// It takes nothing more while it is shut.
    is_shut: bool,
    /// Fails the next write.
    fails: bool,
    items: Vec<T>,
    flushes: usize,
    is_finished: bool,
    aborts: Vec<String>,
    waker: Option<Waker>,
}

/// A sink under the hands of a test.
struct Tap<T>(Arc<Mutex<Seen<T>>>);

impl<T: Send + 'static> Tap<T> {
    fn sink() -> (Arc<Mutex<Seen<T>>>, Sink<T>) {
        let seen = Arc::new(Mutex::new(Seen {
            is_shut: false,
            fails: false,
            items: Vec::new(),
            flushes: 0,
            is_finished: false,
            aborts: Vec::new(),
            waker: None,
        }));
        (seen.clone(), Sink::polled("the tap", Tap(seen)))
    }
}

fn open<T>(seen: &Mutex<Seen<T>>) {
    let mut seen = seen.lock().unwrap();
    seen.is_shut = false;
    if let Some(waker) = seen.waker.take() {
        waker.wake();
    }
}

impl<T: Send + 'static> AsyncSink for Tap<T> {
    type Item = T;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let mut seen = self.0.lock().unwrap();
        if seen.is_shut {
            seen.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(if seen.fails { Err("the tap is broken".into()) } else { Ok(()) })
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Cause> {
        self.0.lock().unwrap().items.push(item);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.lock().unwrap().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_finish(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.lock().unwrap().is_finished = true;
        Poll::Ready(Ok(()))
    }

    fn abort(self: Pin<&mut Self>, error: &Error) {
        self.0.lock().unwrap().aborts.push(error.to_string());
    }
}

fn broken() -> Error {
    Error::aborted("broken on purpose")
}

/// Polls once, as a task that has other things to do.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

async fn all<T: Send>(readable: &mut Readable<T>) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    while let Some(item) = readable.next().await {
        items.push(item?);
    }
    Ok(items)
}

#[test]
fn the_high_water_mark_is_a_threshold_and_then_nothing_more_is_taken() {
    let (mut writable, _readable) = pass_through::<u32>(3).split();
    let ours: Vec<_> = (0..3).map(|n| (writable.try_write(n).unwrap() == Mark::Below).to_string()).collect();
    let script = "const s = new (require('stream').Writable)({objectMode: true, highWaterMark: 3, write() {}});
        console.log([0, 1, 2].map(n => s.write(n)).join(' '))";
    assert_as_in_node(&ours.join(" "), script);
    // Node takes more and more; we give it back.
    assert!(matches!(writable.try_write(3), Err(Refused::Full { item: 3 })));
    assert_eq!((writable.waiting(), writable.mark()), (3, 3));
}

#[test]
fn one_chunk_may_go_beyond_the_mark() {
    let (mut writable, _readable) = pass_through::<Chunk>(4).split();
    assert_eq!(writable.try_write(Chunk::from("abc")).unwrap(), Mark::Below);
    assert_eq!(writable.try_write(Chunk::from("defghi")).unwrap(), Mark::Reached);
    assert_eq!(writable.waiting(), 9);
    assert!(writable.try_write(Chunk::from("j")).is_err());
}

#[test]
fn drain_comes_when_the_buffer_is_empty() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(2).split();
        assert!(once(writable.drained()).await.is_some(), "nothing to drain");
        assert_eq!(writable.try_write(1).unwrap(), Mark::Below);
        assert_eq!(writable.try_write(2).unwrap(), Mark::Reached);
        assert!(once(writable.drained()).await.is_none());
        readable.next().await.unwrap().unwrap();
        assert!(once(writable.drained()).await.is_none(), "one waits still");
        readable.next().await.unwrap().unwrap();
        writable.drained().await.unwrap();
    });
}

#[test]
fn a_write_waits_for_room() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(1).split();
        writable.write(1).await.unwrap();
        assert!(once(writable.write(2)).await.is_none());
        let writing = async {
            writable.write(3).await.unwrap();
            writable.end().await.unwrap();
        };
        let (_, heard) = tokio::join!(writing, all(&mut readable));
        assert_eq!(heard.unwrap(), [1, 3], "a write that was cancelled has not written");
    });
}

#[test]
fn end_then_finish_then_close() {
    run(async {
        let (seen, sink) = Tap::sink();
        let mut writable = Writable::new(sink);
        assert_eq!(writable.phase(), Phase::Open);
        let end = finished(&writable);
        writable.write(7).await.unwrap();
        seen.lock().unwrap().is_shut = true;
        writable.write(8).await.unwrap();
        assert!(once(writable.end()).await.is_none());
        assert_eq!(writable.phase(), Phase::Ending);
        open(&seen);
        writable.end().await.unwrap();
        assert_eq!(writable.phase(), Phase::Finished);
        writable.end().await.unwrap();
        drop(writable);
        end.await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!((&seen.items[..], seen.is_finished, seen.aborts.len()), (&[7, 8][..], true, 0));
    });
    let script = "const s = new (require('stream').Writable)({write(c, e, done) { setImmediate(done) }});
        const log = []; ['finish', 'close'].forEach(e => s.on(e, () => log.push(e)));
        s.write('a'); s.end(() => setImmediate(() => console.log(log.join(' '))))";
    assert_as_in_node("finish close", script);
}

#[test]
fn the_end_comes_after_everything_that_was_pushed() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(16).split();
        let end = finished(&readable);
        writable.write(1).await.unwrap();
        writable.end().await.unwrap();
        assert_eq!(readable.phase(), Phase::Ending);
        assert_eq!(all(&mut readable).await.unwrap(), [1]);
        assert_eq!(readable.phase(), Phase::Finished);
        assert!(readable.next().await.is_none(), "and stays the end");
        end.await.unwrap();
    });
}

#[test]
fn a_write_after_the_end_is_an_error_of_the_writer_alone() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(16).split();
        writable.write(1).await.unwrap();
        writable.end().await.unwrap();
        assert!(matches!(writable.write(2).await, Err(Error::WriteAfterEnd)));
        assert!(matches!(writable.try_write(2), Err(Refused::Over { item: 2, error: Error::WriteAfterEnd })));
        assert_eq!(all(&mut readable).await.unwrap(), [1]);
    });
}

#[test]
fn a_failed_write_tells_all_that_waits_the_same_error() {
    run(async {
        let (seen, sink) = Tap::sink();
        let mut writable = Writable::new(sink);
        let end = finished(&writable);
        seen.lock().unwrap().is_shut = true;
        for n in 0..3 {
            writable.write(n).await.unwrap();
        }
        seen.lock().unwrap().fails = true;
        open(&seen);
        let told = [writable.end().await, writable.write(9).await, writable.drained().await, end.await];
        for told in told {
            assert_eq!(told.unwrap_err().to_string(), "cannot write the tap: the tap is broken");
        }
        assert_eq!(writable.phase(), Phase::Errored);
        let seen = seen.lock().unwrap();
        assert_eq!((seen.items.len(), seen.is_finished, seen.aborts.len()), (0, false, 1), "aborted once");
    });
    let script = "const s = new (require('stream').Writable)({objectMode: true, write(c, e, done) { setImmediate(done, new Error('E')) }});
        const log = []; s.on('error', () => log.push('error')); s.on('close', () => console.log(log.join(' ')));
        for (let n = 0; n < 3; n++) s.write(n, e => log.push(e.message))";
    assert_as_in_node("E E E error", script);
}

#[test]
fn destroy_tells_its_first_error_once_and_drops_what_waits() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(16).split();
        writable.write(1).await.unwrap();
        readable.destroy(broken());
        readable.destroy(Error::aborted("later"));
        writable.destroy(Error::aborted("later still"));
        assert_eq!(readable.next().await.unwrap().unwrap_err().to_string(), "aborted: broken on purpose");
        assert!(readable.next().await.is_none());
        assert_eq!(writable.write(2).await.unwrap_err().to_string(), "aborted: broken on purpose");
        assert_eq!(writable.waiting(), 0);
        assert_eq!(writable.end().await.unwrap_err().to_string(), "aborted: broken on purpose");
    });
    let script = "const s = new (require('stream').Readable)({objectMode: true, read() {}});
        const log = []; s.on('error', e => log.push(e.message)); s.on('close', () => console.log(log.join(' ')));
        s.push(1); s.destroy(new Error('first')); s.destroy(new Error('later'))";
    assert_as_in_node("first", script);
}

#[test]
fn destroyed_with_an_error_the_sink_hears_this_error() {
    run(async {
        let (seen, sink) = Tap::<u32>::sink();
        let mut writable = Writable::new(sink);
        writable.write(1).await.unwrap();
        writable.destroy(broken());
        assert_eq!(seen.lock().unwrap().aborts, ["aborted: broken on purpose"]);
        assert!(!seen.lock().unwrap().is_finished);
    });
}

#[test]
fn dropped_before_its_end_the_sink_is_aborted() {
    run(async {
        let (seen, sink) = Tap::<u32>::sink();
        let mut writable = Writable::new(sink);
        let end = finished(&writable);
        writable.write(1).await.unwrap();
        drop(writable);
        assert!(matches!(end.await, Err(Error::PrematureClose { .. })));
        let seen = seen.lock().unwrap();
        assert_eq!((seen.is_finished, seen.aborts.len()), (false, 1));
    });
}

#[test]
fn a_push_after_the_end_of_a_readable_is_an_error() {
    run(async {
        // The end that pushes is a writable: pushing after the end is writing after it.
        let (mut pushing, mut readable) = pass_through::<u32>(16).split();
        pushing.end().await.unwrap();
        assert!(matches!(pushing.try_write(1), Err(Refused::Over { error: Error::WriteAfterEnd, .. })));
        assert!(readable.next().await.is_none());
    });
}

#[test]
fn an_empty_chunk_is_no_end() {
    run(async {
        let (mut writable, mut readable) = pass_through::<Chunk>(16).split();
        writable.write(Chunk::default()).await.unwrap();
        writable.write(Chunk::from("a")).await.unwrap();
        writable.end().await.unwrap();
        assert_eq!(all(&mut readable).await.unwrap(), [Chunk::from("a")]);
    });
}

#[test]
fn a_reader_that_goes_is_a_premature_close_for_the_writer() {
    run(async {
        let (mut writable, readable) = pass_through::<u32>(1).split();
        let end = finished(&readable);
        writable.write(1).await.unwrap();
        drop(readable);
        assert!(matches!(writable.write(2).await, Err(Error::PrematureClose { .. })));
        assert!(matches!(end.await, Err(Error::PrematureClose { .. })));
    });
}

#[test]
fn a_writer_that_goes_is_a_premature_close_for_the_reader() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(16).split();
        writable.write(1).await.unwrap();
        drop(writable);
        assert!(matches!(readable.next().await, Some(Err(Error::PrematureClose { .. }))));
        assert!(readable.next().await.is_none());
    });
}

#[test]
fn finished_works_on_what_has_finished_already() {
    run(async {
        let mut readable = Readable::new(Source::stream("numbers", stream::iter([Ok::<_, Cause>(1), Ok(2)])));
        assert_eq!(all(&mut readable).await.unwrap(), [1, 2]);
        finished(&readable).await.unwrap();
        let (mut writable, _readable) = pass_through::<u32>(16).split();
        writable.destroy(broken());
        assert!(finished(&writable).await.is_err());
    });
}

#[test]
fn nothing_is_read_before_somebody_polls_and_then_at_most_up_to_the_mark() {
    run(async {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = read.clone();
        let numbers = stream::iter(0..1000).map_counted(counter);
        let mut readable = Readable::with_mark(4, Source::stream("numbers", numbers));
        assert_eq!(read.load(Ordering::Relaxed), 0, "as paused as Node's");
        readable.next().await.unwrap().unwrap();
        assert!(read.load(Ordering::Relaxed) <= 5, "{read:?} read ahead");
    });
}

trait MapCounted {
    fn map_counted(self, counter: Arc<AtomicUsize>) -> impl stream::Stream<Item = Result<u32, Cause>> + Send + 'static;
}

impl<S: stream::Stream<Item = u32> + Send + 'static> MapCounted for S {
    fn map_counted(self, counter: Arc<AtomicUsize>) -> impl stream::Stream<Item = Result<u32, Cause>> + Send + 'static {
        futures_util::StreamExt::map(self, move |n| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(n)
        })
    }
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn leaving_an_iteration_destroys_the_source() {
    run(async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let held = Dropped(dropped.clone());
        let numbers = stream::unfold((0, held), async |(n, held)| Some((Ok::<_, Cause>(n), (n + 1, held))));
        let mut readable = Readable::new(Source::stream("numbers", numbers));
        let end = finished(&readable);
        while let Some(number) = readable.next().await {
            if number.unwrap() == 5 {
                break;
            }
        }
        drop(readable);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert!(matches!(end.await, Err(Error::PrematureClose { .. })));
    });
}

#[test]
fn an_error_of_the_source_comes_once_and_then_the_end() {
    run(async {
        let items: Vec<Result<u32, Cause>> = vec![Ok(1), Err("no more".into()), Ok(2)];
        let mut readable = Readable::with_mark(1, Source::stream("numbers", stream::iter(items)));
        assert_eq!(readable.next().await.unwrap().unwrap(), 1);
        assert_eq!(readable.next().await.unwrap().unwrap_err().to_string(), "cannot read numbers: no more");
        assert!(readable.next().await.is_none());
        assert!(finished(&readable).await.is_err());
    });
}

#[test]
fn what_was_put_back_is_the_next() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(16).split();
        writable.write(1).await.unwrap();
        writable.write(2).await.unwrap();
        let first = readable.next().await.unwrap().unwrap();
        readable.put_back(first).unwrap();
        assert_eq!(readable.put_back(9), Err(9));
        writable.end().await.unwrap();
        assert_eq!(all(&mut readable).await.unwrap(), [1, 2]);
    });
}

/// Counts the calls of `write` and `writev`.
#[derive(Default)]
struct Calls(Arc<Mutex<Vec<usize>>>);

impl tokio::io::AsyncWrite for Calls {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.lock().unwrap().push(1);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.0.lock().unwrap().push(slices.len());
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn corked_chunks_go_out_in_one_call() {
    run(async {
        let calls = Calls::default();
        let log = calls.0.clone();
        let mut writable = Writable::new(Sink::async_write("the calls", calls));
        writable.write(Chunk::from("a")).await.unwrap();
        let mut corked = writable.cork();
        for chunk in ["b", "c", "d"] {
            corked.write(Chunk::from(chunk)).await.unwrap();
        }
        assert_eq!(*log.lock().unwrap(), [1], "held back");
        corked.uncork();
        writable.flush().await.unwrap();
        assert_eq!(*log.lock().unwrap(), [1, 3]);
    });
    let script = "const log = []; const s = new (require('stream').Writable)({
            write(c, e, done) { log.push(1); done() }, writev(cs, done) { log.push(cs.length); done() }});
        s.write('a'); s.cork(); s.write('b'); s.write('c'); s.write('d'); s.uncork(); console.log(log.join(' '))";
    assert_as_in_node("1 3", script);
}

#[test]
fn a_cork_holds_no_more_than_the_mark() {
    run(async {
        let (mut writable, mut readable) = pass_through::<u32>(2).split();
        let writing = async {
            let mut corked = writable.cork();
            for n in 0..5 {
                corked.write(n).await.unwrap();
            }
            corked.uncork();
            writable.end().await.unwrap();
        };
        let (_, heard) = tokio::join!(writing, all(&mut readable));
        assert_eq!(heard.unwrap(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn an_abort_signal_destroys_a_stream() {
    run(async {
        let cancellation = Cancellation::new();
        let (writable, readable) = pass_through::<u32>(1).split();
        let mut readable = readable.abort_by(&cancellation);
        let mut writable = writable.abort_by(&cancellation);
        assert!(once(readable.next()).await.is_none());
        cancellation.cancel();
        assert!(matches!(readable.next().await, Some(Err(Error::Aborted { .. }))));
        assert!(readable.next().await.is_none());
        assert!(matches!(writable.write(1).await, Err(Error::Aborted { .. })));
        let (late, _readable) = pass_through::<u32>(1).split();
        assert!(finished(&late.abort_by(&cancellation)).await.is_err(), "said before");
    });
}

#[test]
fn an_abort_signal_wakes_who_waits() {
    run(async {
        let cancellation = Cancellation::new();
        let (_writable, readable) = pass_through::<u32>(1).split();
        let mut readable = readable.abort_by(&cancellation);
        let waiting = tokio::spawn(async move { readable.next().await });
        tokio::task::yield_now().await;
        std::thread::spawn(move || cancellation.cancel()).join().unwrap();
        assert!(matches!(waiting.await.unwrap(), Some(Err(Error::Aborted { .. }))));
    });
}

#[test]
fn each_side_of_a_duplex_ends_by_itself() {
    run(async {
        let (seen, sink) = Tap::sink();
        let nothing = Readable::new(Source::stream("nothing", stream::empty::<Result<u32, Cause>>()));
        let mut duplex = Duplex::new(nothing, Writable::new(sink));
        let end = finished(&duplex);
        assert!(duplex.next().await.is_none());
        duplex.write(1).await.unwrap();
        assert_eq!(duplex.writable.phase(), Phase::Open);
        duplex.end().await.unwrap();
        assert_eq!(seen.lock().unwrap().items, [1]);
        end.await.unwrap();
    });
}

#[test]
fn a_duplex_that_may_not_be_half_open_ends_together() {
    run(async {
        let (seen, sink) = Tap::<u32>::sink();
        let nothing = Readable::new(Source::stream("nothing", stream::empty::<Result<u32, Cause>>()));
        let mut duplex = Duplex::new(nothing, Writable::new(sink)).ends_together();
        duplex.write(1).await.unwrap();
        assert!(duplex.next().await.is_none());
        assert!(matches!(duplex.write(2).await, Err(Error::WriteAfterEnd)));
        assert!(seen.lock().unwrap().is_finished);
        finished(&duplex).await.unwrap();
    });
}

#[test]
fn destroying_a_duplex_destroys_both_sides() {
    run(async {
        let (seen, sink) = Tap::<u32>::sink();
        let endless = Readable::new(Source::stream("nothing", stream::pending::<Result<u32, Cause>>()));
        let mut duplex = Duplex::new(endless, Writable::new(sink));
        duplex.destroy(broken());
        assert!(duplex.next().await.unwrap().is_err());
        assert!(duplex.write(1).await.is_err());
        assert_eq!(seen.lock().unwrap().aborts, ["aborted: broken on purpose"]);
    });
}

#[test]
fn a_pass_through_gives_what_it_takes() {
    run(async {
        let mut duplex = pass_through::<u32>(16);
        duplex.write(1).await.unwrap();
        duplex.end().await.unwrap();
        assert_eq!(duplex.next().await.unwrap().unwrap(), 1);
        assert!(duplex.next().await.is_none());
        finished(&duplex).await.unwrap();
    });
}

/// Gives the sum at the end.
struct Sum(u32);

impl Transform for Sum {
    type In = u32;
    type Out = u32;

    fn name(&self) -> std::borrow::Cow<'static, str> {
        "sum".into()
    }

    fn transform(&mut self, input: u32, out: &mut Outlet<'_, u32>) -> Result<Flow, Cause> {
        if input == 13 {
            return Err("13 is refused".into());
        }
        self.0 += input;
        out.push(input);
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, u32>) -> Result<Flow, Cause> {
        out.push(self.0);
        Ok(Flow::Next)
    }
}

#[test]
fn a_transform_flushes_before_its_end() {
    run(async {
        let (mut writable, mut readable) = duplex_of(Sum(0)).split();
        let writing = async {
            for n in 1..4 {
                writable.write(n).await?;
            }
            writable.end().await
        };
        let (written, heard) = tokio::join!(writing, all(&mut readable));
        written.unwrap();
        assert_eq!(heard.unwrap(), [1, 2, 3, 6]);
    });
    let script = "const s = new (require('stream').Transform)({objectMode: true,
            transform(c, e, done) { this.sum = (this.sum || 0) + c; done(null, c) }, flush(done) { done(null, this.sum) }});
        const log = []; s.on('data', d => log.push(d)); s.on('end', () => console.log(log.join(' ')));
        [1, 2, 3].forEach(n => s.write(n)); s.end()";
    assert_as_in_node("1 2 3 6", script);
}

#[test]
fn a_transform_that_fails_tells_both_sides_the_same_error() {
    run(async {
        let (mut writable, mut readable) = duplex_of(Sum(0)).split();
        let (ends, reads) = (finished(&writable), finished(&readable));
        let writing = async {
            for n in [1, 13, 2] {
                writable.write(n).await?;
            }
            writable.end().await
        };
        let (written, heard) = tokio::join!(writing, all(&mut readable));
        for told in [written, heard.map(drop), ends.await, reads.await] {
            assert_eq!(told.unwrap_err().to_string(), "sum: 13 is refused");
        }
    });
}

#[test]
fn a_transform_holds_back_its_writer_while_nobody_reads() {
    run(async {
        let (mut writable, mut readable) = duplex_of(map(|n: u64| Ok(n))).split();
        let mut written = 0_u64;
        // The sum of all marks is finite, so writing stops.
        let full = async {
            loop {
                writable.write(written).await.unwrap();
                written += 1;
                assert!(written < 100_000, "nothing holds the writer back");
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(300), full).await.is_err());
        let writing = async {
            writable.end().await.unwrap();
        };
        let (_, heard) = tokio::join!(writing, all(&mut readable));
        assert_eq!(heard.unwrap(), (0..written).collect::<Vec<_>>());
    });
}

#[test]
fn a_reader_that_leaves_a_transform_is_told_to_its_writer() {
    run(async {
        let (mut writable, readable) = duplex_of(map(|n: u64| Ok(n))).split();
        drop(readable);
        let error = loop {
            if let Err(error) = writable.write(1).await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert!(matches!(error, Error::PrematureClose { .. }), "{error}");
    });
}

#[test]
fn a_pipeline_tells_its_first_error_to_every_part() {
    run(async {
        let (seen, sink) = Tap::sink();
        let items: Vec<Result<u32, Cause>> = vec![Ok(1), Ok(13), Ok(2)];
        let outcome = pipeline(Source::stream("numbers", stream::iter(items))).through(Sum(0)).into(sink).run().await;
        assert_eq!(outcome.err().unwrap().to_string(), "sum: 13 is refused");
        let seen = seen.lock().unwrap();
        assert_eq!((seen.is_finished, &seen.aborts[..]), (false, &["sum: 13 is refused".to_owned()][..]));
    });
}

#[test]
fn a_source_that_goes_without_an_end_is_a_premature_close_for_the_pipeline() {
    run(async {
        let (seen, sink) = Tap::sink();
        let (mut writable, readable) = pass_through::<u32>(16).split();
        writable.write(1).await.unwrap();
        let running = pipeline(readable).through(map(|n: u32| Ok(n))).into(sink).run();
        let (outcome, _) = tokio::join!(running, async { drop(writable) });
        assert!(matches!(outcome, Err(Error::PrematureClose { .. })));
        assert_eq!(seen.lock().unwrap().aborts.len(), 1);
    });
}

#[test]
fn operators_keep_the_order() {
    run(async {
        let odd = map(|n: u64| {
            std::thread::sleep(Duration::from_micros((n % 7) * 50));
            Ok(n * 2 + 1)
        });
        let mut readable = Readable::from_iter(0..200_u64).through(odd.parallel(4));
        assert_eq!(all(&mut readable).await.unwrap(), (0..200).map(|n| n * 2 + 1).collect::<Vec<_>>());
    });
}

#[test]
fn composed_transforms_are_one() {
    run(async {
        let both = compose(map(|n: u32| Ok(n + 1)), compose(Sum(0), map(|n: u32| Ok(n * 10))));
        let mut readable = Readable::from_iter([1, 2]).through(both);
        assert_eq!(all(&mut readable).await.unwrap(), [20, 30, 50]);
    });
}

#[test]
fn a_duplex_may_stand_in_the_middle_of_a_pipeline() {
    run(async {
        let (seen, sink) = Tap::sink();
        let source = Source::stream("numbers", stream::iter((0..100_u32).map(Ok::<_, Cause>)));
        let middle = duplex_of(map(|n: u32| Ok(n * 2)));
        pipeline(source).through(middle).into(sink).run().await.unwrap();
        assert_eq!(seen.lock().unwrap().items, (0..100).map(|n| n * 2).collect::<Vec<_>>());
    });
}

#[test]
fn an_error_behind_a_duplex_reaches_what_is_in_front_of_it() {
    run(async {
        let (seen, sink) = Tap::sink();
        seen.lock().unwrap().fails = true;
        let dropped = Arc::new(AtomicUsize::new(0));
        let held = Dropped(dropped.clone());
        let numbers = stream::unfold((0, held), async |(n, held)| Some((Ok::<_, Cause>(n), (n + 1, held))));
        let middle = duplex_of(map(|n: u32| Ok(n)));
        let outcome = pipeline(Source::stream("numbers", numbers)).through(middle).into(sink).run().await;
        assert_eq!(outcome.err().unwrap().to_string(), "cannot write the tap: the tap is broken");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn two_tasks_drive_one_duplex() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut writable, mut readable) = duplex_of(map(|n: u64| Ok(n + 1))).split();
        let writing = tokio::spawn(async move {
            for n in 0..20_000 {
                writable.write(n).await?;
            }
            writable.end().await
        });
        let reading = tokio::spawn(async move { all(&mut readable).await });
        let both = async { (writing.await.unwrap(), reading.await.unwrap()) };
        let (written, heard) = tokio::time::timeout(DEADLINE, both).await.expect("the test hangs");
        written.unwrap();
        assert_eq!(heard.unwrap(), (1..=20_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_sink_and_a_stream_of_futures_are_the_same_ends() {
    use futures_util::{SinkExt, StreamExt, TryStreamExt};
    run(async {
        let (mut writable, readable) = pass_through::<u32>(16).split();
        SinkExt::send(&mut writable, 1).await.unwrap();
        SinkExt::send(&mut writable, 2).await.unwrap();
        SinkExt::close(&mut writable).await.unwrap();
        let heard: Vec<u32> = readable.map_ok(|n| n * 10).try_collect().await.unwrap();
        assert_eq!(heard, [10, 20]);
        let rest: VecDeque<_> = Readable::new(Source::stream("one", stream::iter([Ok::<_, Cause>(1)]))).collect().await;
        assert_eq!(rest.len(), 1);
    });
}
