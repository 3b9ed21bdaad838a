//! A ring whose receiver is woken by other means than its futex: by a byte on a socket that an event loop watches.
//!
//! The rules are those of `parking.rs`; only what is done for a sleeper differs. The two ways are not to be mixed on one
//! ring: who waits in [`RingReceiver::recv`] hears no bell.

use std::time::Duration;

use super::parking::{self, Parking};
use super::{RingReceiver, RingSender, frame_bytes};
use crate::Error;

/// What the receiver must be told after a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a receiver that sleeps must be told"]
pub enum Bell {
    /// Nothing: it is awake, and looks by itself.
    NotNeeded,
    /// It has [armed](RingReceiver::arm) itself and sleeps.
    Ring,
}

impl RingSender {
    /// Sends a message without waking the receiver: the [`Bell`] says whether somebody must. [`Error::Full`] if there is
    /// no space for it now.
    pub fn try_send_silently(&mut self, message: &[u8]) -> Result<Bell, Error> {
        let needed = self.needed(message)?;
        if !self.has_space(needed)? {
            return Err(Error::Full);
        }
        Ok(if self.place(message, needed) { Bell::Ring } else { Bell::NotNeeded })
    }

    /// Waits at most `deadline` until there is space for a message of `len` bytes.
    pub fn wait_for_room(&mut self, len: usize, deadline: Duration) -> Result<(), Error> {
        let needed = self.needed_for(len)?;
        if self.has_space(needed)? { Ok(()) } else { self.wait_for_space(needed, deadline) }
    }

    /// Whether messages of these lengths, together, would find space now.
    pub fn has_room_for(&mut self, lengths: &[usize]) -> Result<bool, Error> {
        if lengths.iter().any(|len| *len > self.max_message()) {
            return Ok(false);
        }
        let needed = lengths.iter().map(|len| frame_bytes(*len as u64)).fold(0, u64::saturating_add);
        if needed > self.words.capacity() { Ok(false) } else { self.has_space(needed) }
    }

    /// Whether the receiver has taken everything out.
    pub fn is_empty(&mut self) -> Result<bool, Error> {
        self.tail = parking::tail_before(&self.words, self.head, self.words.capacity())?;
        Ok(self.tail == self.head)
    }
}

impl RingReceiver {
    /// Says that from now on the receiver must be told of a message (see [`Bell`]). True if there is one already: then
    /// it was not said.
    pub fn arm(&mut self) -> Result<bool, Error> {
        self.words.raise_receiver_flag();
        let found = self.has_message();
        if !matches!(found, Ok(false)) {
            self.disarm();
        }
        found
    }

    /// Takes back what [`arm`](RingReceiver::arm) said.
    pub fn disarm(&self) {
        self.words.take_receiver_flag();
    }
}
