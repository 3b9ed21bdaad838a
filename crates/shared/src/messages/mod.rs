//! [`RingSender`] and [`RingReceiver`]: whole messages from one process (or thread) to another through shared memory.
//!
//! ```text
//!   RingSender ── send ──► │…│ length │ bytes │ length │ bytes │ free …│ ── recv ──► RingReceiver
//!         head ▲                the segment, used round and round            ▲ tail
//!              └─ moves only when a message is whole                         └─ moves only when it was copied out
//! ```
//!
//! Who finds nothing (or no space) looks for a while, then sleeps on a word of the segment; who changes something wakes
//! him with one system call, and makes none when nobody sleeps. `parking.rs` has the rules and says why no wake-up is
//! missed; a model checks them under every interleaving.
//!
//! Errors: [`Error::TimedOut`], [`Error::Full`], [`Error::TooLarge`]; [`Error::Corrupt`] when the other side wrote
//! positions or lengths that make no sense; [`Error::Refused`] for a descriptor that is no ring of messages.

mod bell;
#[cfg(all(test, loom))]
mod model;
mod parking;
mod spin;
#[cfg(test)]
mod tests;
mod words;

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::futex::{Deadline, Slept};
use crate::{Error, bytes, fail_point};
use parking::Parking;
use spin::Spin;
use words::Words;

pub use bell::Bell;

/// Bytes of the word that says how long a message is.
const LENGTH_BYTES: u64 = 8;
/// How long a wait looks before it sleeps, if nothing else was said: a system call and two switches of a core.
const DEFAULT_SPIN: Duration = Duration::from_micros(20);

/// The sending end of a ring of messages.
///
/// One sender, one receiver; each may be in a process of its own. A message is seen whole or not at all, also when the
/// sender is killed at any moment.
///
/// ```
/// use phalanx_shared::{RingReceiver, RingSender};
/// use std::time::Duration;
///
/// let deadline = Duration::from_secs(10);
/// let mut sender = RingSender::create(64 * 1024)?;
/// let mut receiver = RingReceiver::from_descriptor(sender.descriptor()?)?; // in another process
///
/// sender.send(b"hello", deadline)?;
/// let mut message = Vec::new();
/// receiver.recv(&mut message, deadline)?;
/// assert_eq!(message, b"hello");
/// # Ok::<(), phalanx_shared::Error>(())
/// ```
///
/// A ring does not tell that the other process has died: a `recv` then ends at its deadline. Where processes also have a
/// channel or a pipe between them, its end of file tells at once; so give deadlines of the length after which you want to
/// look there.
#[derive(Debug)]
pub struct RingSender {
    words: Words,
    head: u64,
    /// Where the receiver was when we last looked.
    tail: u64,
    spin: Spin,
}

/// The receiving end of a ring of messages. See [`RingSender`].
#[derive(Debug)]
pub struct RingReceiver {
    words: Words,
    tail: u64,
    /// Where the sender was when we last looked.
    head: u64,
    spin: Spin,
}

impl RingSender {
    /// A ring that holds `bytes` (rounded up to a power of two), messages with 8 bytes each on top.
    pub fn create(bytes: usize) -> Result<RingSender, Error> {
        RingSender::of(Words::create(bytes)?)
    }

    /// The sending end of the ring behind a descriptor. It goes on where a sender before it was, so it can take the place
    /// of one that was killed.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<RingSender, Error> {
        RingSender::of(Words::open(descriptor)?)
    }

    fn of(words: Words) -> Result<RingSender, Error> {
        let (head, tail) = words.positions()?;
        Ok(RingSender { words, head, tail, spin: Spin::new(DEFAULT_SPIN) })
    }

    /// How long a wait looks for space before it sleeps; 20 µs if not said, zero for never.
    ///
    /// Where looking does not help (the other side is slow, or shares our core) it is given up, and tried again for 1.5 % of
    /// the time. Under a CPU quota set it to zero: what is burnt by looking counts.
    pub fn with_spin(mut self, longest: Duration) -> RingSender {
        self.spin = Spin::new(longest);
        self
    }

    /// A descriptor of the ring, for the other process.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        self.words.descriptor()
    }

    /// Length of the longest message, in bytes.
    pub fn max_message(&self) -> usize {
        (self.words.capacity() - LENGTH_BYTES) as usize
    }

    /// Sends a message; [`Error::Full`] if there is no space for it now.
    pub fn try_send(&mut self, message: &[u8]) -> Result<(), Error> {
        let needed = self.needed(message)?;
        if !self.has_space(needed)? {
            return Err(Error::Full);
        }
        self.put(message, needed)
    }

    /// Sends a message, waiting at most `deadline` for space.
    pub fn send(&mut self, message: &[u8], deadline: Duration) -> Result<(), Error> {
        let needed = self.needed(message)?;
        if !self.has_space(needed)? {
            self.wait_for_space(needed, deadline)?;
        }
        self.put(message, needed)
    }

    fn needed(&self, message: &[u8]) -> Result<u64, Error> {
        self.needed_for(message.len())
    }

    fn needed_for(&self, len: usize) -> Result<u64, Error> {
        let limit = self.max_message();
        if len > limit {
            return Err(Error::TooLarge { what: "a message", bytes: len as u64, limit: limit as u64 });
        }
        Ok(frame_bytes(len as u64))
    }

    /// Whether `needed` bytes are free. The receiver's position is looked at only when the last one does not suffice.
    fn has_space(&mut self, needed: u64) -> Result<bool, Error> {
        let capacity = self.words.capacity();
        if needed <= capacity - (self.head - self.tail) {
            return Ok(true);
        }
        self.tail = parking::tail_before(&self.words, self.head, capacity)?;
        Ok(needed <= capacity - (self.head - self.tail))
    }

    fn wait_for_space(&mut self, needed: u64, patience: Duration) -> Result<(), Error> {
        if let Some(until) = self.spin.begin(patience) {
            let found = spin::look(until, || self.has_space(needed))?;
            self.spin.ended(found);
            if found {
                return Ok(());
            }
        }
        let deadline = Deadline::after(patience);
        let wanted = (self.head + needed).saturating_sub(self.words.capacity());
        loop {
            self.words.raise_sender_flag(wanted);
            let space = self.has_space(needed);
            if !matches!(space, Ok(false)) {
                self.words.take_sender_flag();
                return space.map(|_| ());
            }
            if self.words.sleep_as_sender(deadline.as_ref())? == Slept::TimedOut {
                self.words.take_sender_flag();
                return if self.has_space(needed)? { Ok(()) } else { Err(Error::TimedOut { waited: patience }) };
            }
        }
    }

    fn put(&mut self, message: &[u8], needed: u64) -> Result<(), Error> {
        if self.place(message, needed) {
            fail_point::reach("ring: the message is announced and the receiver not woken");
            self.words.wake_receiver()?;
        }
        Ok(())
    }

    /// Copies the message in and announces it, once it is whole. True if the receiver sleeps and must be woken.
    fn place(&mut self, message: &[u8], needed: u64) -> bool {
        let (front, back) = self.words.runs(self.head, (needed / LENGTH_BYTES) as usize);
        // There is at least the length, and never a run without places before one with some.
        bytes::store(&front[..1], &(message.len() as u64).to_ne_bytes());
        let front = &front[1..];
        let (for_front, for_back) = message.split_at(message.len().min(front.len() * LENGTH_BYTES as usize));
        bytes::store(front, for_front);
        fail_point::reach("ring: half of the message is written");
        bytes::store(back, for_back);
        fail_point::reach("ring: the message is written and not announced");
        self.head += needed;
        parking::publish(&self.words, self.head)
    }
}

impl RingReceiver {
    /// A ring that holds `bytes` (rounded up to a power of two), messages with 8 bytes each on top.
    pub fn create(bytes: usize) -> Result<RingReceiver, Error> {
        RingReceiver::of(Words::create(bytes)?)
    }

    /// The receiving end of the ring behind a descriptor. It goes on where a receiver before it was, so it can take the
    /// place of one that was killed: a message that that one had not yet taken out completely comes again.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<RingReceiver, Error> {
        RingReceiver::of(Words::open(descriptor)?)
    }

    fn of(words: Words) -> Result<RingReceiver, Error> {
        let (head, tail) = words.positions()?;
        Ok(RingReceiver { words, tail, head, spin: Spin::new(DEFAULT_SPIN) })
    }

    /// How long a wait looks for a message before it sleeps; see [`RingSender::with_spin`].
    pub fn with_spin(mut self, longest: Duration) -> RingReceiver {
        self.spin = Spin::new(longest);
        self
    }

    /// A descriptor of the ring, for the other process.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        self.words.descriptor()
    }

    /// Takes the next message out, if there is one: its bytes replace those of `into`, and their number is returned.
    pub fn try_recv(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        if self.has_message()? { self.take(into).map(Some) } else { Ok(None) }
    }

    /// Takes the next message out, waiting for it at most `deadline`: its bytes replace those of `into`, and their number
    /// is returned.
    pub fn recv(&mut self, into: &mut Vec<u8>, deadline: Duration) -> Result<usize, Error> {
        if !self.has_message()? {
            self.wait_for_message(deadline)?;
        }
        self.take(into)
    }

    fn has_message(&mut self) -> Result<bool, Error> {
        if self.head == self.tail {
            self.head = parking::head_after(&self.words, self.tail, self.words.capacity())?;
        }
        Ok(self.head != self.tail)
    }

    fn wait_for_message(&mut self, patience: Duration) -> Result<(), Error> {
        if let Some(until) = self.spin.begin(patience) {
            let found = spin::look(until, || self.has_message())?;
            self.spin.ended(found);
            if found {
                return Ok(());
            }
        }
        let deadline = Deadline::after(patience);
        loop {
            self.words.raise_receiver_flag();
            let message = self.has_message();
            if !matches!(message, Ok(false)) {
                self.words.take_receiver_flag();
                return message.map(|_| ());
            }
            if self.words.sleep_as_receiver(deadline.as_ref())? == Slept::TimedOut {
                self.words.take_receiver_flag();
                return if self.has_message()? { Ok(()) } else { Err(Error::TimedOut { waited: patience }) };
            }
        }
    }

    /// There is a message: between `tail` and `head`, both of which were checked.
    fn take(&mut self, into: &mut Vec<u8>) -> Result<usize, Error> {
        let there = self.head - self.tail;
        // Read once: the sender could change it.
        let len = self.words.length_at(self.tail);
        if there < LENGTH_BYTES || len > there - LENGTH_BYTES || frame_bytes(len) > there {
            return Err(Error::Corrupt { what: "the length of a message" });
        }
        let needed = frame_bytes(len);
        let len = len as usize;
        let (front, back) = self.words.runs(self.tail, (needed / LENGTH_BYTES) as usize);
        let front = &front[1..];
        let in_front = len.min(front.len() * LENGTH_BYTES as usize);
        into.clear();
        into.reserve(needed as usize);
        bytes::append(front, in_front, into);
        bytes::append(back, len - in_front, into);
        fail_point::reach("ring: the message is read and its space not given back");
        self.tail += needed;
        if parking::release(&self.words, self.tail) {
            self.words.wake_sender()?;
        }
        Ok(len)
    }
}

/// Bytes that a message takes in the ring: whole words.
fn frame_bytes(len: u64) -> u64 {
    LENGTH_BYTES + len.next_multiple_of(LENGTH_BYTES)
}
