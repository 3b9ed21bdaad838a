//! [`Sink::file`], [`Sink::stdout`], [`Sink::descriptor`].

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::Timespec;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::output::{Output, Replacing};
use super::waiting::{Stop, Waiting, open_to_write, widen};
use super::{FileTarget, Identity, Interrupt};
use crate::{BlockingSink, Cause, Chunk, Error, IntoSink, Sink};

/// How often it is looked whether somebody has opened a FIFO to read it; the system gives no sign.
const READER_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

impl Sink<Chunk> {
    /// A file that is replaced as a whole at the end, or a FIFO, device or socket that is written directly:
    /// see [`FileTarget`], which has the options too.
    pub fn file(path: impl AsRef<Path>) -> Result<Sink<Chunk>, Error> {
        FileTarget::new(path.as_ref()).open()
    }

    /// Standard output, written by its descriptor, after what waits in [`std::io::stdout`]. A reader that is gone is an
    /// error like others, of [`io::ErrorKind::BrokenPipe`]. If it is redirected to a file, that file is the shell's: what
    /// was written before an error stays in it.
    pub fn stdout() -> Result<Sink<Chunk>, Error> {
        let what = "standard output";
        let mut stdout = io::stdout();
        match stdout.flush().and_then(|()| stdout.as_fd().try_clone_to_owned()) {
            Ok(descriptor) => {
                widen(&descriptor);
                Sink::descriptor(what, descriptor)
            }
            Err(cause) => Err(Error::sink(what, cause)),
        }
    }

    /// What is open already (a file, pipe, socket, terminal), from where it stands, with its name for errors. It is closed
    /// at the end.
    pub fn descriptor(what: impl Into<String>, descriptor: impl Into<OwnedFd>) -> Result<Sink<Chunk>, Error> {
        let (what, descriptor) = (what.into(), descriptor.into());
        let identity = Identity::of_descriptor(&descriptor);
        let way = match Way::open_already(descriptor) {
            Ok(way) => way,
            Err(cause) => return Err(Error::sink(what, cause)),
        };
        let mut sink = Sink::blocking(what, Writing { way, interrupt: None }.with_interrupt());
        sink.identity = identity;
        Ok(sink)
    }

    /// As [`Sink::descriptor`]; an error comes with the first write.
    fn opened(what: &str, descriptor: impl Into<OwnedFd>) -> Sink<Chunk> {
        let descriptor = descriptor.into();
        let identity = Identity::of_descriptor(&descriptor);
        let way = Way::open_already(descriptor).unwrap_or_else(Way::Refused);
        let mut sink = Sink::blocking(what, Writing { way, interrupt: None }.with_interrupt());
        sink.identity = identity;
        sink
    }
}

/// A file, pipe or device that is written.
pub(super) struct Writing {
    way: Way,
    interrupt: Option<Interrupt>,
}

enum Way {
    /// Not opened yet.
    Replace(Replacing),
    Replacing(Output),
    /// Not opened yet: a FIFO, device or socket.
    Into(PathBuf, FileType, Stop),
    Waiting(Waiting),
    /// A regular file that was open already, or a disk.
    File(File),
    Refused(io::Error),
    Closed,
}

impl Writing {
    pub(super) fn replacing(replacing: Replacing) -> Writing {
        Writing { way: Way::Replace(replacing), interrupt: None }
    }

    pub(super) fn into_path(path: PathBuf, kind: FileType) -> io::Result<Writing> {
        let stop = Stop::new()?;
        let interrupt = Some(stop.interrupt());
        Ok(Writing { way: Way::Into(path, kind, stop), interrupt })
    }

    fn with_interrupt(mut self) -> Writing {
        if let Way::Waiting(waiting) = &self.way {
            self.interrupt = Some(waiting.interrupt());
        }
        self
    }

    /// Opened, if it was not yet.
    fn way(&mut self) -> Result<&mut Way, Cause> {
        if let Way::Replace(_) | Way::Into(..) | Way::Refused(_) = &self.way {
            self.way = match std::mem::replace(&mut self.way, Way::Closed) {
                Way::Replace(replacing) => Way::Replacing(Output::create(replacing)?),
                Way::Into(path, kind, stop) => Way::open_into(&path, kind, stop)?,
                Way::Refused(error) => return Err(error.into()),
                other => other,
            };
        }
        Ok(&mut self.way)
    }
}

impl Way {
    fn open_already(descriptor: OwnedFd) -> io::Result<Way> {
        match FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode) {
            FileType::RegularFile | FileType::BlockDevice => Ok(Way::File(File::from(descriptor))),
            kind => Ok(Way::Waiting(Waiting::writing(descriptor, kind)?)),
        }
    }

    fn open_into(path: &Path, kind: FileType, stop: Stop) -> io::Result<Way> {
        match kind {
            FileType::Socket => Ok(Way::Waiting(Waiting::socket(UnixStream::connect(path)?.into(), stop))),
            FileType::RegularFile | FileType::BlockDevice => {
                Ok(Way::File(File::options().write(true).truncate(kind == FileType::RegularFile).open(path)?))
            }
            FileType::Fifo => loop {
                match open_to_write(path) {
                    Ok(descriptor) => return Ok(Way::Waiting(Waiting::own(descriptor, stop))),
                    // Nobody reads yet.
                    Err(Errno::NXIO) => stop.pause(&READER_PAUSE)?,
                    Err(error) => return Err(error.into()),
                }
            },
            _ => Ok(Way::Waiting(Waiting::own(open_to_write(path)?, stop))),
        }
    }
}

impl BlockingSink for Writing {
    type Item = Chunk;

    fn write(&mut self, chunk: Chunk) -> Result<(), Cause> {
        match self.way()? {
            Way::Replacing(output) => output.file.write_all(&chunk)?,
            Way::File(file) => file.write_all(&chunk)?,
            Way::Waiting(waiting) => waiting.write_all(&chunk)?,
            Way::Replace(_) | Way::Into(..) | Way::Refused(_) | Way::Closed => return Err(Error::WriteAfterEnd.into()),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Cause> {
        self.way()?;
        match std::mem::replace(&mut self.way, Way::Closed) {
            Way::Replacing(output) => output.take_place(),
            _ => Ok(()),
        }
    }

    fn abort(&mut self, _: &Error) {
        // A nameless file is gone when it is closed, one with a temporary name is removed.
        self.way = Way::Closed;
    }

    fn may_wait_for_ever(&self) -> bool {
        false
    }

    fn interrupt(&self) -> Option<Interrupt> {
        self.interrupt.clone()
    }
}

impl IntoSink<Chunk> for File {
    fn into_sink(self) -> Sink<Chunk> {
        Sink::opened("a file", self)
    }
}

impl IntoSink<Chunk> for io::PipeWriter {
    fn into_sink(self) -> Sink<Chunk> {
        Sink::opened("a pipe", self)
    }
}

impl IntoSink<Chunk> for std::process::ChildStdin {
    fn into_sink(self) -> Sink<Chunk> {
        Sink::opened("the input of a child process", self)
    }
}

impl IntoSink<Chunk> for UnixStream {
    fn into_sink(self) -> Sink<Chunk> {
        Sink::opened("a socket", self)
    }
}

impl IntoSink<Chunk> for std::net::TcpStream {
    fn into_sink(self) -> Sink<Chunk> {
        Sink::opened("a socket", self)
    }
}
