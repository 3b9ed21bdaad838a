//! [`Pipe`]: the read end of what one worker writes.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use phalanx_channel::Watched;
use rustix::io::Errno;

use super::lines::Lines;
use crate::WorkerId;

/// A pipe for the standard output or standard error of a worker: the end to read, which never blocks and which the primary
/// keeps, and the end to write, which does block, as programs expect of their standard output.
pub(crate) fn log_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let flags = rustix::fs::fcntl_getfl(&read)?;
    rustix::fs::fcntl_setfl(&read, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok((read, write))
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) worker: WorkerId,
    end: Watched,
    lines: RefCell<Lines>,
}

/// What a look into a pipe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Something; there may be more.
    Some,
    /// Nothing now.
    Nothing,
    /// All writers are gone.
    End,
}

impl Pipe {
    pub(super) fn new(worker: WorkerId, end: OwnedFd) -> io::Result<Pipe> {
        Ok(Pipe { worker, end: Watched::for_reading(end)?, lines: RefCell::default() })
    }

    /// Waits for something to read, and reads once.
    pub(super) async fn wait_and_read(&self, buffer: &RefCell<Vec<u8>>, each: impl FnMut(&[u8])) -> Found {
        let Ok(mut ready) = self.end.readable().await else { return Found::End };
        let found = self.read(&mut buffer.borrow_mut(), each);
        if found == Found::Nothing {
            ready.clear_ready();
        }
        found
    }

    /// Reads once, without waiting.
    pub(super) fn read(&self, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> Found {
        match rustix::io::read(self.end.as_fd(), &mut *buffer) {
            Ok(0) => Found::End,
            Ok(count) => {
                self.lines.borrow_mut().add(&buffer[..count], &mut each);
                Found::Some
            }
            Err(Errno::INTR) => Found::Some,
            Err(Errno::AGAIN) => Found::Nothing,
            Err(_) => Found::End,
        }
    }

    /// Gives out what has no end of line.
    pub(super) fn finish(&self, each: impl FnMut(&[u8])) {
        self.lines.borrow_mut().finish(each);
    }
}
