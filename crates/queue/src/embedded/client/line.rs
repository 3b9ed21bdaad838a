//! [`Line`]: the way out: bytes on their way into the socket of one connection after the other.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::SendFlags;

/// A buffer that grew beyond this is given back.
const KEPT_BYTES: usize = 256 * 1024;

/// The way to the owner. Whoever has something to say puts it into the buffer; one of them at a time writes, without the lock.
#[derive(Default)]
pub(super) struct Line {
    pub(super) socket: Option<Arc<OwnedFd>>,
    /// Grows with every connection, so that who writes finds out that it was another one.
    pub(super) number: u64,
    pub(super) unsent: Vec<u8>,
    /// The other of two buffers that take turns.
    spare: Vec<u8>,
    /// Somebody writes.
    pub(super) busy: bool,
    /// The socket is full; the keeper waits until it takes more.
    pub(super) full: bool,
}

/// What one thread writes.
pub(super) struct Batch {
    socket: Arc<OwnedFd>,
    number: u64,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn is_up(&self) -> bool {
        self.socket.is_some()
    }

    /// Puts a frame at the end, if there is a connection.
    pub(super) fn push(&mut self, frame: &[u8]) {
        if self.is_up() {
            self.unsent.extend_from_slice(frame);
        }
    }

    /// What is there to write, if nobody is at it.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        if self.busy || self.full || self.unsent.is_empty() {
            return None;
        }
        let socket = self.socket.clone()?;
        self.busy = true;
        let empty = std::mem::take(&mut self.spare);
        Some(Batch { socket, number: self.number, bytes: std::mem::replace(&mut self.unsent, empty) })
    }

    /// So much of a batch was written. False if the socket is full.
    pub(super) fn written(&mut self, batch: Batch, sent: usize) -> bool {
        let Batch { number, mut bytes, .. } = batch;
        if self.number != number {
            return true;
        }
        self.busy = false;
        self.full = sent < bytes.len();
        if self.full {
            bytes.drain(..sent);
            bytes.append(&mut self.unsent);
            self.unsent = bytes;
        } else {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
            self.spare = bytes;
        }
        !self.full
    }

    /// The connection is gone; what was unsent with it.
    pub(super) fn down(&mut self) {
        *self = Line { number: self.number + 1, ..Line::default() };
    }
}

impl Batch {
    /// Gives the kernel what it takes now; how much that was.
    pub(super) fn write(&self) -> usize {
        write(&self.socket, &self.bytes)
    }
}

/// Gives the kernel what it takes now; how much that was.
pub(super) fn write(socket: &OwnedFd, bytes: &[u8]) -> usize {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::net::send(socket, &bytes[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            // A full socket, or the end of it, which the keeper sees as well.
            Err(_) => break,
        }
    }
    sent
}
