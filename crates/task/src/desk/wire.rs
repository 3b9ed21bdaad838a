//! The messages in the two rings. Heads are laid out by hand: one is written and read for each task.
//!
//! ```text
//!   to the job process    WELCOME │ postcard of Welcome
//!                         OFFER   │ slot, details, task, attempt, number, id, deadline │ parcel │ body
//!   from the job process  HELLO   │ postcard of Hello
//!                         PROGRESS│ slot, number │ done │ total
//!                         WAITS   │ slot, number
//!                         RUNS    │ slot, number
//!                         DONE    │ slot, output, returned, run time, number │ parcel │ body
//!                         FAILED  │ slot, returned, run time, number │ postcard of TaskError
//!                         RETURNED│ where regions begin …
//!                         KEEPS   │ slot, number │ what the task keeps for its next attempt
//! ```
//!
//! What comes from a job process is only looked at here, not believed: lengths are compared with what is there, and all else is
//! held against what the owner knows (`mod.rs`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parcel::Parcel;
use crate::Confinement;

pub(crate) const WELCOME: u8 = 1;
pub(crate) const OFFER: u8 = 2;

pub(crate) const HELLO: u8 = 1;
pub(crate) const PROGRESS: u8 = 2;
pub(crate) const DONE: u8 = 3;
pub(crate) const FAILED: u8 = 4;
pub(crate) const RETURNED: u8 = 5;
pub(crate) const WAITS: u8 = 6;
pub(crate) const RUNS: u8 = 7;
pub(crate) const KEEPS: u8 = 8;

/// In place of the number of an output: there is none in the file.
pub(crate) const NO_OUTPUT: u8 = u8::MAX;
/// In place of a deadline: there is none.
pub(crate) const NO_DEADLINE: u64 = u64::MAX;

/// Where in a message [`Which`] says that the input is returned.
const RETURNED_AT: usize = 3;

/// The owner's first message: what a job process cannot find out for itself inside of its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// How long to look for the next job before sleeping, in nanoseconds.
    pub(crate) spin_ns: u64,
    /// Bytes of an output that are taken.
    pub(crate) max_output: u64,
}

/// A job process's first message, before any job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its process id, as it sees it.
    pub pid: u32,
    /// The tasks that it knows, in order.
    pub tasks: Vec<String>,
    /// What it is truly denied.
    pub confinement: Confinement,
}

/// A job on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfferHead {
    pub(crate) slot: u8,
    /// Which of the tasks in the hello.
    pub(crate) task: u16,
    pub(crate) attempt: u32,
    /// Number of the offer on this desk.
    pub(crate) number: u64,
    /// What the task's context says for its number.
    pub(crate) id: u64,
    /// Whether the last blob of the input is what an earlier attempt has kept.
    pub(crate) has_details: bool,
    /// On the clock that all processes share, in nanoseconds, or [`NO_DEADLINE`].
    pub(crate) deadline: u64,
    pub(crate) parcel: Parcel,
}

/// Which job an answer belongs to, as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Which {
    pub(crate) slot: u8,
    /// Number of the output in the file, or [`NO_OUTPUT`].
    pub(crate) output: u8,
    /// Whether the region of its input is free again.
    pub(crate) is_returned: bool,
    /// How long it ran, in nanoseconds; the largest number stands for all longer times.
    pub(crate) ran_ns: u32,
    pub(crate) number: u64,
}

impl OfferHead {
    pub(crate) fn write(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(&[OFFER, self.slot, u8::from(self.has_details)]);
        message.extend_from_slice(&self.task.to_ne_bytes());
        message.extend_from_slice(&self.attempt.to_ne_bytes());
        for word in [self.number, self.id, self.deadline] {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        self.parcel.write(message);
    }

    /// `message` begins behind its kind.
    pub(crate) fn read(message: &mut Reader<'_>) -> Option<OfferHead> {
        Some(OfferHead {
            slot: message.byte()?,
            has_details: message.byte()? == 1,
            task: u16::from_ne_bytes(message.array()?),
            attempt: u32::from_ne_bytes(message.array()?),
            number: message.word()?,
            id: message.word()?,
            deadline: message.word()?,
            parcel: message.parcel()?,
        })
    }
}

impl Which {
    pub(crate) fn write(&self, kind: u8, message: &mut Vec<u8>) {
        message.extend_from_slice(&[kind, self.slot, self.output, u8::from(self.is_returned)]);
        message.extend_from_slice(&self.ran_ns.to_ne_bytes());
        message.extend_from_slice(&self.number.to_ne_bytes());
    }

    pub(crate) fn ran(&self) -> Duration {
        Duration::from_nanos(self.ran_ns.into())
    }

    /// Says in a message that was written already that the region of the input is free again.
    pub(crate) fn mark_returned(message: &mut [u8]) {
        if let Some(flag) = message.get_mut(RETURNED_AT) {
            *flag = 1;
        }
    }

    /// `message` begins behind its kind.
    pub(crate) fn read(message: &mut Reader<'_>) -> Option<Which> {
        let [slot, output, returned] = message.array()?;
        let ran_ns = u32::from_ne_bytes(message.array()?);
        Some(Which { slot, output, is_returned: returned == 1, ran_ns, number: message.word()? })
    }
}

/// Reads a message from its front.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn word(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(crate) fn parcel(&mut self) -> Option<Parcel> {
        let (region, region_bytes, body_bytes) = (self.word()?, self.word()?, self.word()?);
        let blobs = u32::from_ne_bytes(self.array()?);
        let body_in_region = match u32::from_ne_bytes(self.array()?) {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Parcel { region, region_bytes, body_bytes, blobs, body_in_region })
    }

    /// What was not read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written() {
        let parcel = Parcel { region: 1, region_bytes: 2, body_bytes: 3, blobs: 4, body_in_region: true };
        let offer =
            OfferHead { slot: 5, task: 600, attempt: 7, number: 8, id: 9, has_details: true, deadline: 10, parcel };
        let mut message = Vec::new();
        offer.write(&mut message);
        let mut reader = Reader::new(&message);
        assert_eq!((reader.byte(), OfferHead::read(&mut reader), reader.rest()), (Some(OFFER), Some(offer), &[][..]));

        let which = Which { slot: 1, output: NO_OUTPUT, is_returned: true, ran_ns: 5, number: 1 << 60 };
        message.clear();
        which.write(DONE, &mut message);
        let mut reader = Reader::new(&message);
        assert_eq!((reader.byte(), Which::read(&mut reader), reader.rest()), (Some(DONE), Some(which), &[][..]));
    }

    #[test]
    fn what_is_cut_off_is_not_read() {
        let mut message = Vec::new();
        Which { slot: 1, output: 2, is_returned: false, ran_ns: 0, number: 3 }.write(DONE, &mut message);
        for len in 1..message.len() {
            assert_eq!(Which::read(&mut Reader::new(&message[1..len])), None);
        }
    }
}
