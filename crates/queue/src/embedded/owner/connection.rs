//! [`Connection`]: one client's socket, with what came from it and what it has not taken yet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use crate::embedded::frames::{self, Frames};
use crate::embedded::words::ToClient;

/// A client that lets more than this pile up is cut off: 64 MiB.
const MOST_UNSENT: usize = 64 << 20;
/// From a client that lets more than this pile up nothing more is read: 1 MiB.
const STOPS_READING: usize = 1 << 20;
/// What is read from one client in one turn at most, so that one does not hold up the others: 1 MiB.
const READ_AT_ONCE: usize = 1 << 20;
/// A buffer that grew beyond this is given back when it is empty.
const KEPT_BYTES: usize = 256 * 1024;

/// A client.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    pub(crate) incoming: Frames,
    unsent: Vec<u8>,
    /// Bytes of `unsent` that the kernel has.
    sent: usize,
    /// Whether it has said who it is.
    pub(crate) introduced: bool,
    pub(crate) since: Instant,
    /// What epoll was told to look for.
    pub(crate) watched: Wanted,
    /// It has words that were not given to the kernel in this turn.
    pub(crate) dirty: bool,
}

/// What we want to hear of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// What reading brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes.
    Some(usize),
    /// It has closed its end, or is gone.
    End,
}

/// What writing brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// All is well; what is left waits for room.
    Yes,
    /// The client is gone.
    Gone,
    /// More is left than a client may leave.
    TooMuch,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            incoming: Frames::default(),
            unsent: Vec::new(),
            sent: 0,
            introduced: false,
            since: Instant::now(),
            watched: Wanted { read: true, write: false },
            dirty: false,
        }
    }

    /// Reads what is there, at most a turn's share.
    pub(crate) fn read(&mut self) -> Read {
        let mut all = 0;
        while all < READ_AT_ONCE {
            let room = self.incoming.room();
            let asked = room.len();
            match rustix::net::recv(&self.socket, room, RecvFlags::DONTWAIT) {
                // What it said before it left counts.
                Ok((0, _)) => return if all == 0 { Read::End } else { Read::Some(all) },
                Ok((count, _)) => {
                    self.incoming.received(count);
                    all += count;
                    // Less than there was room for: that was all.
                    if count < asked {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Read::End,
            }
        }
        Read::Some(all)
    }

    /// Puts a word into the buffer. An answer that is too long becomes an error in its place.
    pub(crate) fn push(&mut self, word: ToClient) {
        if let Err(error) = frames::append(&word, &mut self.unsent)
            && let ToClient::Answer { ask, .. } = word
        {
            // An error fits always.
            let _ = frames::append(&ToClient::Answer { ask, reply: Err(error) }, &mut self.unsent);
        }
    }

    /// Gives the kernel what it takes.
    pub(crate) fn flush(&mut self) -> Flushed {
        while self.sent < self.unsent.len() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&self.socket, &self.unsent[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return Flushed::Gone,
            }
        }
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.unsent.shrink_to(KEPT_BYTES);
            self.sent = 0;
        } else if self.sent > KEPT_BYTES {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
        if self.left() <= MOST_UNSENT { Flushed::Yes } else { Flushed::TooMuch }
    }

    /// Bytes that the kernel has not taken.
    pub(crate) fn left(&self) -> usize {
        self.unsent.len() - self.sent
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { read: self.left() <= STOPS_READING, write: self.left() > 0 }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
