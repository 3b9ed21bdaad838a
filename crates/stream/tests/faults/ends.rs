//! Sources and sinks that fail, or are refused.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use phalanx_stream::{Chunk, Error, FileError, IntoSink, IntoSource, Sink, Source, pipeline, tee};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::{Folder, MANY, Scenario, endless, large};

pub(super) const ALL: &[Scenario] = &[
    ("the source fails in the middle", source_fails),
    ("the source is not there, or a folder", source_is_refused),
    ("the target is a folder, or in none", target_is_refused),
    ("the device is full", device_is_full),
    ("the pipe is broken", pipe_is_broken),
    ("the socket is closed", socket_is_closed),
    ("the receiver is gone", receiver_is_gone),
    ("the output is the input", output_is_input),
    ("a fifo whose reader goes stays a fifo", fifo_is_left),
    ("a link to the target stays on an error", link_stays),
];

fn copy(source: impl IntoSource<Item = Chunk>, sink: impl IntoSink<Chunk>) -> Result<(), Error> {
    pipeline(source).into(sink).run_blocking().map(drop)
}

pub(super) fn io_kind(error: &Error) -> Option<ErrorKind> {
    error.cause_as::<io::Error>().map(io::Error::kind)
}

/// Gives 1 MiB, then fails.
pub(super) struct Torn(pub(super) usize);

impl Read for Torn {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let bytes = room.len().min((1 << 20) - self.0);
        if bytes == 0 {
            return Err(io::Error::other("the disk makes noises"));
        }
        self.0 += bytes;
        Ok(bytes)
    }
}

fn source_fails() {
    let folder = Folder::new();
    for target in ["target", "new"] {
        let error = copy(Source::reader("the tape", Torn(0)), Sink::file(folder.path(target)).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the tape: the disk makes noises");
        folder.assert_untouched(&[]);
    }
}

fn source_is_refused() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let Err(error) = Source::file(&missing) else { panic!("it is not there") };
    assert_eq!(io_kind(&error), Some(ErrorKind::NotFound));
    assert!(error.to_string().starts_with(&format!("cannot read {}: ", missing.display())), "{error}");

    let Err(error) = Source::file(folder.0.path()) else { panic!("it is a folder") };
    assert!(matches!(error.cause_as(), Some(FileError::Folder)), "{error}");
    let error = copy(File::open(folder.0.path()).unwrap(), Sink::file(folder.path("new")).unwrap()).unwrap_err();
    assert!(matches!(error.cause_as(), Some(FileError::Folder)), "{error}");
    folder.assert_untouched(&[]);
}

fn target_is_refused() {
    let folder = Folder::new();
    let Err(error) = Sink::file(folder.0.path()) else { panic!("it is a folder") };
    assert!(matches!((&error, error.cause_as()), (Error::Sink { .. }, Some(FileError::Folder))), "{error}");
    let Err(error) = Sink::file(folder.path("missing/new")) else { panic!("it is in no folder") };
    assert!(matches!(error.cause_as(), Some(FileError::NoFolder { .. })), "{error}");
    let Err(error) = Sink::file(folder.path("target/new")) else { panic!("it is in a file") };
    assert!(error.to_string().contains("Not a directory"), "{error}");
    folder.assert_untouched(&[]);
}

fn device_is_full() {
    let error = copy(endless(), Sink::file("/dev/full").unwrap()).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::StorageFull));
    assert_eq!(error.to_string(), "cannot write /dev/full: No space left on device (os error 28)");
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    let error = copy(large(), File::options().write(true).open("/dev/full").unwrap()).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::StorageFull));
}

/// Reads a little, then goes.
fn leave(mut reader: impl Read) {
    reader.read_exact(&mut vec![0; 1 << 20]).unwrap();
}

fn pipe_is_broken() {
    let (reader, writer) = io::pipe().unwrap();
    let leaving = thread::spawn(move || leave(reader));
    let error = copy(endless(), writer).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::BrokenPipe));
    assert_eq!(error.to_string(), "cannot write a pipe: Broken pipe (os error 32)");
    leaving.join().unwrap();
}

fn socket_is_closed() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let leaving = thread::spawn(move || leave(theirs));
    let error = copy(endless(), ours).unwrap_err();
    let kind = io_kind(&error);
    assert!(matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{error}");
    leaving.join().unwrap();
}

fn receiver_is_gone() {
    let (sender, receiver) = mpsc::sync_channel(1);
    let leaving = thread::spawn(move || drop(receiver.recv()));
    let error = copy(large(), Sink::sender(sender)).unwrap_err();
    assert!(matches!(error, Error::Sink { .. }), "{error}");
    leaving.join().unwrap();
}

fn output_is_input() {
    let folder = Folder::new();
    let target = folder.target();
    let (soft, hard) = (folder.path("soft"), folder.path("hard"));
    symlink("target", &soft).unwrap();
    fs::hard_link(&target, &hard).unwrap();
    for other in [&target, &soft, &hard] {
        let error = copy(Source::file(&target).unwrap(), Sink::file(other).unwrap()).unwrap_err();
        assert!(matches!(error.cause_as(), Some(FileError::SameAsSource { .. })), "{error}");
        let told = format!("cannot write {}: it is the same file as the input {}", other.display(), target.display());
        assert!(error.to_string().starts_with(&told), "{error}");
        folder.assert_untouched(&["hard", "soft"]);
    }
    // A tee is a sink as well.
    let aside = tee(Sink::file(&target).unwrap());
    let error = pipeline(Source::file(&target).unwrap()).through(aside).into(Sink::file(folder.path("new")).unwrap());
    let error = error.run_blocking().unwrap_err();
    assert!(matches!(error.cause_as(), Some(FileError::SameAsSource { .. })), "{error}");
    folder.assert_untouched(&["hard", "soft"]);
    // As `< target >> target` does with standard input and output.
    let both = (File::open(&target).unwrap(), File::options().append(true).open(&target).unwrap());
    let error = copy(both.0, both.1).unwrap_err();
    assert!(matches!(error.cause_as(), Some(FileError::SameAsSource { .. })), "{error}");
    folder.assert_untouched(&["hard", "soft"]);
    // What has no content of its own may be both.
    copy(Source::file("/dev/null").unwrap(), Sink::file("/dev/null").unwrap()).unwrap();
}

pub(super) fn make_fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn fifo_is_left() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    make_fifo(&fifo);
    let leaving = thread::spawn({
        let fifo = fifo.clone();
        move || leave(File::open(fifo).unwrap())
    });
    let error = copy(endless(), Sink::file(&fifo).unwrap()).unwrap_err();
    assert_eq!(io_kind(&error), Some(ErrorKind::BrokenPipe), "{error}");
    leaving.join().unwrap();
    // A source that fails leaves it too.
    let reading = thread::spawn({
        let fifo = fifo.clone();
        move || io::copy(&mut File::open(fifo).unwrap(), &mut io::sink()).unwrap()
    });
    copy(Source::reader("the tape", Torn(0)), Sink::file(&fifo).unwrap()).unwrap_err();
    while !reading.is_finished() {
        // The source may have failed before the sink was opened at all; then the reader still waits for a writer.
        let _ = rustix::fs::open(&fifo, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
        thread::yield_now();
    }
    assert!(reading.join().unwrap() <= 1 << 20);
    assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    folder.assert_untouched(&["fifo"]);
}

fn link_stays() {
    let folder = Folder::new();
    let link = folder.path("link");
    symlink("target", &link).unwrap();
    copy(Source::reader("the tape", Torn(0)), Sink::file(&link).unwrap()).unwrap_err();
    folder.assert_untouched(&["link"]);
    copy(large(), Sink::file(&link).unwrap()).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(folder.target()).unwrap().len(), (MANY as u64) * (256 << 10));
}
