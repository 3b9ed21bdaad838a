//! [`Waiting`]: a pipe, FIFO, terminal, socket or device, read and written so that a wait can be interrupted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::Interrupt;
use crate::CHUNK_BYTES;

/// What a pipe that says it is writable takes without a wait.
const SURE_PIPE_BYTES: usize = 4096;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A descriptor whose reads and writes may wait for another program.
pub(super) struct Waiting {
    descriptor: OwnedFd,
    way: Way,
    stop: Stop,
}

/// How a write is kept from waiting inside the kernel, where nothing could interrupt it.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The open file is ours alone, and does not block.
    OwnOpenFile,
    Socket,
    /// Neither: a few bytes at a time, each after it said that it takes some. The blocking mode belongs to whoever else
    /// has the same open file, so it is not changed.
    Pieces,
}

impl Waiting {
    /// For reading: the open file may be shared with others.
    pub(super) fn reading(descriptor: OwnedFd, kind: FileType) -> io::Result<Waiting> {
        let way = if kind == FileType::Socket { Way::Socket } else { Way::Pieces };
        Ok(Waiting { descriptor, way, stop: Stop::new()? })
    }

    /// For writing to what may be shared with others: a pipe, FIFO, terminal or device is opened anew where that is
    /// possible.
    pub(super) fn writing(descriptor: OwnedFd, kind: FileType) -> io::Result<Waiting> {
        let stop = Stop::new()?;
        if kind == FileType::Socket {
            return Ok(Waiting { descriptor, way: Way::Socket, stop });
        }
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        match open_to_write(path.as_ref()) {
            Ok(own) => Ok(Waiting { descriptor: own, way: Way::OwnOpenFile, stop }),
            Err(_) => Ok(Waiting { descriptor, way: Way::Pieces, stop }),
        }
    }

    /// For writing to what was opened with [`open_to_write`].
    pub(super) fn own(descriptor: OwnedFd, stop: Stop) -> Waiting {
        Waiting { descriptor, way: Way::OwnOpenFile, stop }
    }

    pub(super) fn socket(descriptor: OwnedFd, stop: Stop) -> Waiting {
        Waiting { descriptor, way: Way::Socket, stop }
    }

    pub(super) fn interrupt(&self) -> Interrupt {
        self.stop.interrupt()
    }

    /// What has come, 0 at the end.
    pub(super) fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stop.wait_for(self.descriptor.as_fd(), PollFlags::IN)?;
            match self.read_some(room) {
                Ok(bytes) => return Ok(bytes),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is there already, 0 at the end.
    pub(super) fn read_at_once(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        let mut descriptor = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let is_there = matches!(self.way, Way::Socket)
            || (rustix::event::poll(&mut descriptor, Some(&AT_ONCE)).is_ok()
                && descriptor[0].revents().contains(PollFlags::IN));
        if !is_there {
            return Ok(None);
        }
        match self.read_some(room) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_some(&self, room: &mut [u8]) -> Result<usize, Errno> {
        match self.way {
            Way::Socket => rustix::net::recv(&self.descriptor, room, RecvFlags::DONTWAIT).map(|(bytes, _)| bytes),
            Way::OwnOpenFile | Way::Pieces => rustix::io::read(&self.descriptor, room),
        }
    }

    pub(super) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_some(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => self.stop.wait_for(self.descriptor.as_fd(), PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_some(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self.way {
            Way::OwnOpenFile => rustix::io::write(&self.descriptor, bytes),
            Way::Socket => rustix::net::send(&self.descriptor, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Pieces => {
                self.stop.wait_for(self.descriptor.as_fd(), PollFlags::OUT).map_err(|error| errno(&error))?;
                rustix::io::write(&self.descriptor, &bytes[..bytes.len().min(SURE_PIPE_BYTES)])
            }
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::CANCELED)
}

/// Opens what is no regular file so that no write waits inside the kernel. A FIFO that nobody reads is `ENXIO`.
pub(super) fn open_to_write(path: &std::path::Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Makes a pipe hold a whole chunk, so that fewer wakes are needed for the same bytes (a pipe holds 64 KiB by itself). Only
/// for standard input and output, of which there is one each: what one user's pipes may hold in all is limited.
pub(super) fn widen(pipe: impl AsFd) {
    // What is no pipe, or may not be larger, stays as it is.
    if rustix::pipe::fcntl_getpipe_size(&pipe).is_ok_and(|bytes| bytes < CHUNK_BYTES) {
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, CHUNK_BYTES);
    }
}

/// A lasting request to wait no more. A clone is the same.
#[derive(Clone)]
pub(super) struct Stop {
    event: Arc<OwnedFd>,
}

impl Stop {
    pub(super) fn new() -> io::Result<Stop> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop { event: Arc::new(event) })
    }

    pub(super) fn interrupt(&self) -> Interrupt {
        let event = self.event.clone();
        // It is never read, so it stays readable; a counter that is full is readable too.
        Interrupt::new(move || {
            let _ = rustix::io::write(&event, &1_u64.to_ne_bytes());
        })
    }

    /// Until the descriptor can do it, or has failed (which the next call on it tells).
    fn wait_for(&self, descriptor: BorrowedFd<'_>, what: PollFlags) -> io::Result<()> {
        let mut both = [PollFd::from_borrowed_fd(descriptor, what), PollFd::new(&*self.event, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut both, None) {
                Ok(_) if !both[1].revents().is_empty() => return Err(given_up()),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// So long, unless it is asked to stop.
    pub(super) fn pause(&self, time: &Timespec) -> io::Result<()> {
        let mut event = [PollFd::new(&*self.event, PollFlags::IN)];
        match rustix::event::poll(&mut event, Some(time)) {
            Ok(0) | Err(Errno::INTR) => Ok(()),
            Ok(_) => Err(given_up()),
            Err(error) => Err(error.into()),
        }
    }
}

fn given_up() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the pipeline was given up while it waited")
}
