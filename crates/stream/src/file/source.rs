//! [`Source::file`], [`Source::stdin`], [`Source::descriptor`].

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Advice, FileType, Mode, OFlags};

use super::waiting::{Waiting, widen};
use super::{FileError, Identity, Interrupt};
use crate::{BlockingSource, Buffers, Cause, Chunk, Error, IntoSource, Source};

impl Source<Chunk> {
    /// A file, opened now. A FIFO is opened without a wait for its writer, and waits for it when it is read; to a Unix
    /// socket it connects.
    pub fn file(path: impl AsRef<Path>) -> Result<Source<Chunk>, Error> {
        let path = path.as_ref();
        let what = path.display().to_string();
        match open(path) {
            Ok(descriptor) => Source::descriptor(what, descriptor),
            Err(cause) => Err(Error::source(what, cause)),
        }
    }

    /// Standard input, read by its descriptor: what [`std::io::stdin`] has read ahead is not seen.
    pub fn stdin() -> Result<Source<Chunk>, Error> {
        let what = "standard input";
        match io::stdin().as_fd().try_clone_to_owned() {
            Ok(descriptor) => {
                widen(&descriptor);
                Source::descriptor(what, descriptor)
            }
            Err(cause) => Err(Error::source(what, cause)),
        }
    }

    /// What is open already (a file, pipe, socket, terminal), from where it stands, with its name for errors.
    pub fn descriptor(what: impl Into<String>, descriptor: impl Into<OwnedFd>) -> Result<Source<Chunk>, Error> {
        let what = what.into();
        match Reading::new(descriptor.into()) {
            Ok(reading) => Ok(reading.named(what)),
            Err(cause) => Err(Error::source(what, cause)),
        }
    }

    /// As [`Source::descriptor`]; an error comes with the first read.
    fn opened(what: &str, descriptor: impl Into<OwnedFd>) -> Source<Chunk> {
        match Reading::new(descriptor.into()) {
            Ok(reading) => reading.named(what.to_owned()),
            Err(cause) => Source::blocking(what, Refused(Some(cause))),
        }
    }
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let kind = FileType::from_raw_mode(rustix::fs::stat(path)?.st_mode);
    match kind {
        FileType::Socket => Ok(UnixStream::connect(path)?.into()),
        // Or it would wait here for a writer.
        FileType::Fifo => Ok(rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::empty())?),
        _ => Ok(rustix::fs::open(path, flags, Mode::empty())?),
    }
}

struct Reading {
    way: Way,
    identity: Option<Identity>,
    total: Option<u64>,
}

enum Way {
    /// Fills the chunk.
    Whole(File),
    /// Takes what has come. A terminal says only once that it has ended.
    AsItComes { waiting: Waiting, has_ended: bool },
}

impl Reading {
    fn new(descriptor: OwnedFd) -> Result<Reading, Cause> {
        let stat = rustix::fs::fstat(&descriptor)?;
        let identity = Identity::of(&stat);
        let (way, total) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(FileError::Folder.into()),
            FileType::RegularFile => {
                // Doubles what the kernel reads ahead. Some file systems know no such advice.
                let _ = rustix::fs::fadvise(&descriptor, 0, None, Advice::Sequential);
                let at = rustix::fs::tell(&descriptor).unwrap_or(0);
                let length = u64::try_from(stat.st_size).unwrap_or(0);
                // The files of /proc and /sys say 0 and have more.
                let total = (length > 0).then(|| length.saturating_sub(at));
                (Way::Whole(File::from(descriptor)), total)
            }
            FileType::BlockDevice => (Way::Whole(File::from(descriptor)), None),
            kind => (Way::AsItComes { waiting: Waiting::reading(descriptor, kind)?, has_ended: false }, None),
        };
        Ok(Reading { way, identity, total })
    }

    fn named(self, what: String) -> Source<Chunk> {
        let (identity, total) = (self.identity, self.total);
        let mut source = Source::blocking(what, self);
        source.identity = identity;
        source.total = total;
        source
    }
}

impl BlockingSource for Reading {
    type Item = Chunk;

    fn read(&mut self, buffers: &Buffers) -> Result<Option<Chunk>, Cause> {
        let mut chunk = buffers.take();
        match &mut self.way {
            Way::Whole(file) => fill(file, &mut chunk)?,
            Way::AsItComes { waiting, has_ended } => {
                let mut come = Some(if *has_ended { 0 } else { waiting.read(chunk.room())? });
                // What is there already comes along: a pipe gives its bytes in small pieces.
                while let Some(bytes) = come {
                    chunk.filled(bytes);
                    *has_ended = bytes == 0;
                    let is_enough = *has_ended || chunk.room().is_empty();
                    come = if is_enough { None } else { waiting.read_at_once(chunk.room())? };
                }
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn may_wait_for_ever(&self) -> bool {
        false
    }

    fn interrupt(&self) -> Option<Interrupt> {
        match &self.way {
            Way::Whole(_) => None,
            Way::AsItComes { waiting, .. } => Some(waiting.interrupt()),
        }
    }
}

/// Reads until the chunk is full or the file at its end.
fn fill(file: &mut File, chunk: &mut Chunk) -> io::Result<()> {
    loop {
        let room = chunk.room();
        if room.is_empty() {
            return Ok(());
        }
        match file.read(room) {
            Ok(0) => return Ok(()),
            Ok(bytes) => chunk.filled(bytes),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl IntoSource for File {
    type Item = Chunk;

    fn into_source(self) -> Source<Chunk> {
        Source::opened("a file", self)
    }
}

impl IntoSource for io::PipeReader {
    type Item = Chunk;

    fn into_source(self) -> Source<Chunk> {
        Source::opened("a pipe", self)
    }
}

impl IntoSource for std::process::ChildStdout {
    type Item = Chunk;

    fn into_source(self) -> Source<Chunk> {
        Source::opened("the output of a child process", self)
    }
}

impl IntoSource for UnixStream {
    type Item = Chunk;

    fn into_source(self) -> Source<Chunk> {
        Source::opened("a socket", self)
    }
}

impl IntoSource for std::net::TcpStream {
    type Item = Chunk;

    fn into_source(self) -> Source<Chunk> {
        Source::opened("a socket", self)
    }
}

struct Refused(Option<Cause>);

impl BlockingSource for Refused {
    type Item = Chunk;

    fn read(&mut self, _: &Buffers) -> Result<Option<Chunk>, Cause> {
        match self.0.take() {
            Some(cause) => Err(cause),
            None => Ok(None),
        }
    }
}
