//! [`JobId`] and [`Token`]: which job, and which attempt at it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Error, UnixMillis};

/// The id of a job: 128 bits in the layout of UUID version 7 (48 bits of milliseconds, 12 of a counter, then random ones), so ids sort by
/// age, those of one program by the order in which they were made, and anybody can make one. Made by whoever submits: submitting the same id again changes nothing, so a call whose answer was lost
/// can be repeated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId([u8; 16]);

impl JobId {
    /// A new id.
    #[allow(clippy::new_without_default)] // Two calls give different ids.
    pub fn new() -> JobId {
        let mut bytes = [0_u8; 16];
        // Without the system's random numbers (a sandbox) the id has the address space's and the clock's only.
        if getrandom::fill(&mut bytes).is_err() {
            use std::hash::{BuildHasher, RandomState};
            let low = RandomState::new().hash_one(std::time::Instant::now());
            let high = RandomState::new().hash_one(low);
            bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
        }
        let number = next_number();
        let (millis, counter) = (number >> COUNTER_BITS, number & ((1 << COUNTER_BITS) - 1));
        let [_, _, a, b, c, d, e, f] = millis.to_be_bytes();
        let [.., high, low] = counter.to_be_bytes();
        bytes[..8].copy_from_slice(&[a, b, c, d, e, f, high | 0x70, low]);
        bytes[8] = bytes[8] & 0x3f | 0x80;
        JobId(bytes)
    }

    /// What a task's context says for its number: the part of the id that grows.
    pub(crate) fn task_id(self) -> phalanx_task::TaskId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).into()
    }

    /// From its 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> JobId {
        JobId(bytes)
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Bits of the counter behind the milliseconds.
const COUNTER_BITS: u32 = 12;

/// Milliseconds and a counter: larger than all that this process has had before. With more than 4 096 a millisecond it runs ahead of the
/// clock, and if the clock is set back it goes on where it was.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = UnixMillis::now().0 << COUNTER_BITS;
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

impl fmt::Display for JobId {
    /// As UUIDs are written: `0192e4a1-7b3c-7d2e-9f01-…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = Error;

    fn from_str(text: &str) -> Result<JobId, Error> {
        let malformed = || Error::Malformed {
            what: format!("the job id \"{text}\""),
            reason: "an id has 32 hexadecimal digits, as a UUID".to_owned(),
        };
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        let mut bytes = [0_u8; 16];
        if digits.len() != 32 {
            return Err(malformed());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or_else(malformed);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).map_err(|_| malformed())?;
        }
        Ok(JobId(bytes))
    }
}

/// The right to say how one attempt at a job went: a fencing token. It grows with every attempt and every life of the store, and only
/// the latest one of a job is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Which job.
    pub job: JobId,
    /// Which life of the store: grows with each start of an owner; 0 in PostgreSQL, which keeps its leases.
    pub epoch: u64,
    /// Which attempt, counted from 1; every lease is one, also those that are handed back.
    pub attempt: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_later_ones_are_larger() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(JobId::new() > id && JobId::new().task_id() > id.task_id());
        assert_eq!(id.to_string().as_bytes()[14], b'7');
        assert!("".parse::<JobId>().is_err());
        assert!("0192e4a1-7b3c-7d2e-9f01-00000000000g".parse::<JobId>().is_err());
    }
}
