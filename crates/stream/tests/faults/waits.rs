//! Ends where nothing comes or goes: backpressure, and a pipeline that is given up while it waits.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phalanx_stream::{CHUNK_BYTES, Chunk, Error, IntoSink, IntoSource, Pipeline, Sink, Source, map, pipeline};

use super::ends::{io_kind, make_fifo};
use super::{Folder, MANY, Scenario, chunk, endless};

pub(super) const ALL: &[Scenario] = &[
    ("a slow reader slows the source", slow_reader),
    ("given up while the source waits", source_waits),
    ("given up while the sink waits", sink_waits),
    ("given up at any moment", any_moment),
    ("a sink fails while the source waits", sink_fails_while_source_waits),
    ("given up while a fifo has no other end", fifo_has_no_other_end),
];

/// What is given up comes back, and leaves no thread that waits. (A read that cannot be interrupted would be left behind after a second:
/// its thread would be found at the end.)
const SOON: Duration = Duration::from_secs(20);

fn slow_reader() {
    let given = Arc::new(AtomicUsize::new(0));
    let counting = Source::iter((0..MANY * 4).map({
        let given = given.clone();
        move |number| {
            given.fetch_add(1, Ordering::SeqCst);
            chunk(number)
        }
    }));
    let (mut reader, writer) = io::pipe().unwrap();
    let running = thread::spawn(move || pipeline(counting).through(map(Ok)).into(writer).run_blocking().map(drop));
    // It stands still when everything is full.
    let mut seen = (0, Instant::now());
    while seen.1.elapsed() < Duration::from_millis(300) {
        let now = given.load(Ordering::SeqCst);
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(10));
    }
    // Two lanes of 1 MiB, each with one more chunk; one in each part; what is in the pipe.
    assert!(seen.0 * CHUNK_BYTES <= (2 << 20) + 6 * CHUNK_BYTES, "{} chunks are on their way", seen.0);
    let mut buffer = vec![0; CHUNK_BYTES];
    for number in 0..MANY * 4 {
        reader.read_exact(&mut buffer).unwrap();
        assert!(buffer == *chunk(number), "chunk {number}");
        if number < 20 {
            thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    running.join().unwrap().unwrap();
}

/// Runs it, gives it up when it waits, and says what came of it.
#[track_caller]
fn give_up(pipeline: Pipeline) {
    let handle = pipeline.abort_handle();
    let running = thread::spawn(move || pipeline.run_blocking().map(drop));
    thread::sleep(Duration::from_millis(50));
    let since = Instant::now();
    handle.abort("the user left");
    let error = running.join().unwrap().unwrap_err();
    assert!(since.elapsed() < SOON, "after {:?}", since.elapsed());
    assert!(matches!(error, Error::Aborted { .. }), "{error}");
    assert_eq!(error.to_string(), "aborted: the user left");
}

fn source_waits() {
    let folder = Folder::new();
    let sink = || Sink::file(folder.target()).unwrap();
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"a beginning").unwrap();
    give_up(pipeline(reader).into(sink()));
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"a beginning").unwrap();
    give_up(pipeline(ours).through(map(Ok).parallel(2)).into(sink()));
    folder.assert_untouched(&[]);
}

fn sink_waits() {
    let (_reader, writer) = io::pipe().unwrap();
    give_up(pipeline(endless()).into(writer));
    let (ours, _theirs) = UnixStream::pair().unwrap();
    give_up(pipeline(endless()).through(map(Ok).parallel(2)).into(ours));
    // One whose open file belongs to others too keeps its mode.
    let (_reader, writer) = io::pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    give_up(pipeline(endless()).into(writer));
    assert!(!rustix::fs::fcntl_getfl(&shared).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
}

fn any_moment() {
    let folder = Folder::new();
    for microseconds in (0..4000).step_by(97) {
        let pipeline = pipeline(endless()).through(map(Ok).parallel(2)).into(Sink::file(folder.target()).unwrap());
        let handle = pipeline.abort_handle();
        let running = thread::spawn(move || pipeline.run_blocking().map(drop));
        thread::sleep(Duration::from_micros(microseconds));
        handle.abort("enough");
        let error = running.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Aborted { .. }), "{error}");
        folder.assert_untouched(&[]);
    }
}

fn sink_fails_while_source_waits() {
    fn fail(source: impl IntoSource<Item = Chunk>, sink: impl IntoSink<Chunk>, kind: ErrorKind) {
        let since = Instant::now();
        let error = pipeline(source).into(sink).run_blocking().map(drop).unwrap_err();
        assert_eq!(io_kind(&error), Some(kind), "{error}");
        assert!(since.elapsed() < SOON, "after {:?}", since.elapsed());
    }
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"a beginning").unwrap();
    fail(reader, Sink::file("/dev/full").unwrap(), ErrorKind::StorageFull);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"a beginning").unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    fail(ours, writer, ErrorKind::BrokenPipe);
}

fn fifo_has_no_other_end() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    make_fifo(&fifo);
    give_up(pipeline(Source::file(&fifo).unwrap()).into(Sink::file(folder.target()).unwrap()));
    give_up(pipeline(endless()).into(Sink::file(&fifo).unwrap()));
    folder.assert_untouched(&["fifo"]);
    assert!(fs::symlink_metadata(&fifo).is_ok());
}
