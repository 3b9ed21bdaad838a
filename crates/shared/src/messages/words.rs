//! [`Words`]: the segment of a ring of messages.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::parking::{self, Cursors, Parking};
use crate::error::{system, unmappable};
use crate::futex::{self, Deadline, Slept};
use crate::{Error, Segment};

const WORD_BYTES: usize = size_of::<u64>();
/// Words between two that different processes write: two cache lines, because processors fetch pairs.
const APART: usize = 16;
const MARK_AT: usize = 0;
const HEAD_AT: usize = APART;
const TAIL_AT: usize = 2 * APART;
const RECEIVER_FLAG_AT: usize = 3 * APART;
const SENDER_FLAG_AT: usize = 4 * APART;
/// Beside its flag: the position that the sender waits for.
const SENDER_WANTS_AT: usize = SENDER_FLAG_AT + 1;
/// Words before the first byte.
const HEADER_WORDS: usize = 5 * APART;
/// First word of every ring of messages ("PHXMSGS" and the version of the layout).
const MARK: u64 = u64::from_be_bytes(*b"PHXMSGS\x01");
/// Of the places: the smallest ring takes a message of eight bytes, the largest 1 TiB.
const LEAST_WORDS: usize = 2;
const MOST_BYTES: usize = 1 << 40;

/// The words of a segment that is a ring of messages.
#[derive(Debug)]
pub(super) struct Words {
    segment: Segment,
    /// Number of places, a power of two, less one.
    mask: u64,
}

impl Words {
    pub(super) fn create(bytes: usize) -> Result<Words, Error> {
        if bytes > MOST_BYTES {
            return Err(Error::TooLarge { what: "a ring", bytes: bytes as u64, limit: MOST_BYTES as u64 });
        }
        let places = bytes.div_ceil(WORD_BYTES).max(LEAST_WORDS).next_power_of_two();
        let segment = Segment::create("phalanx-ring", (HEADER_WORDS + places) * WORD_BYTES)
            .map_err(|source| system("create a ring", source))?;
        segment.words::<AtomicU64>()[MARK_AT].store(MARK, Ordering::Release);
        Words::of(segment)
    }

    pub(super) fn open(descriptor: OwnedFd) -> Result<Words, Error> {
        Words::of(Segment::map(descriptor).map_err(|source| unmappable("ring of messages", source))?)
    }

    fn of(segment: Segment) -> Result<Words, Error> {
        let refused = |why| Error::Refused { expected: "ring of messages", why };
        if !segment.is_writable() {
            return Err(refused("it is read-only: pass `descriptor()`"));
        }
        let words = segment.words::<AtomicU64>();
        let places = words.len().saturating_sub(HEADER_WORDS);
        if places < LEAST_WORDS || !places.is_power_of_two() || segment.len() > MOST_BYTES * 2 {
            return Err(refused("its size is none of theirs"));
        }
        if words[MARK_AT].load(Ordering::Acquire) != MARK {
            return Err(refused("it is memory of another kind, or of another version of this program"));
        }
        Ok(Words { mask: places as u64 - 1, segment })
    }

    pub(super) fn descriptor(&self) -> Result<OwnedFd, Error> {
        self.segment.descriptor().map_err(|source| system("duplicate the descriptor of a ring", source))
    }

    /// Bytes that fit.
    pub(super) fn capacity(&self) -> u64 {
        (self.mask + 1) * WORD_BYTES as u64
    }

    /// Where sender and receiver are, checked.
    pub(super) fn positions(&self) -> Result<(u64, u64), Error> {
        let head = self.head();
        let tail = parking::tail_before(self, head, self.capacity())?;
        if !head.is_multiple_of(WORD_BYTES as u64) || head > u64::MAX / 2 {
            return Err(Error::Corrupt { what: "the sender's position" });
        }
        Ok((head, tail))
    }

    /// What stands where the length of a message should.
    pub(super) fn length_at(&self, position: u64) -> u64 {
        self.runs(position, 1).0[0].load(Ordering::Relaxed)
    }

    /// The `words` places (at most all) that begin at `position`, in their two runs: up to the end of the ring, and from
    /// its start.
    pub(super) fn runs(&self, position: u64, words: usize) -> (&[AtomicU64], &[AtomicU64]) {
        let places = &self.segment.words::<AtomicU64>()[HEADER_WORDS..];
        let start = ((position / WORD_BYTES as u64) & self.mask) as usize;
        let first = words.min(places.len() - start);
        (&places[start..start + first], &places[..words - first])
    }

    pub(super) fn sleep_as_receiver(&self, deadline: Option<&Deadline>) -> Result<Slept, Error> {
        futex::sleep(self.flag(RECEIVER_FLAG_AT), 1, deadline)
            .map_err(|source| system("wait for a message of a ring", source))
    }

    pub(super) fn sleep_as_sender(&self, deadline: Option<&Deadline>) -> Result<Slept, Error> {
        futex::sleep(self.flag(SENDER_FLAG_AT), 1, deadline)
            .map_err(|source| system("wait for space in a ring", source))
    }

    pub(super) fn wake_receiver(&self) -> Result<(), Error> {
        futex::wake(self.flag(RECEIVER_FLAG_AT), 1)
            .map(|_| ())
            .map_err(|source| system("wake the receiver of a ring", source))
    }

    pub(super) fn wake_sender(&self) -> Result<(), Error> {
        futex::wake(self.flag(SENDER_FLAG_AT), 1)
            .map(|_| ())
            .map_err(|source| system("wake the sender of a ring", source))
    }

    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        &self.segment.words::<AtomicU64>()[index]
    }

    fn flag(&self, index: usize) -> &AtomicU32 {
        &self.segment.words::<AtomicU32>()[index * (WORD_BYTES / size_of::<u32>())]
    }

    fn take(&self, index: usize) -> bool {
        let flag = self.flag(index);
        flag.load(Ordering::SeqCst) != 0 && flag.swap(0, Ordering::SeqCst) != 0
    }
}

impl Cursors for Words {
    fn head(&self) -> u64 {
        self.word(HEAD_AT).load(Ordering::SeqCst)
    }
    fn set_head(&self, position: u64) {
        self.word(HEAD_AT).store(position, Ordering::SeqCst);
    }
    fn tail(&self) -> u64 {
        self.word(TAIL_AT).load(Ordering::SeqCst)
    }
    fn set_tail(&self, position: u64) {
        self.word(TAIL_AT).store(position, Ordering::SeqCst);
    }
}

impl Parking for Words {
    fn raise_receiver_flag(&self) {
        self.flag(RECEIVER_FLAG_AT).store(1, Ordering::SeqCst);
    }
    fn take_receiver_flag(&self) -> bool {
        self.take(RECEIVER_FLAG_AT)
    }
    fn raise_sender_flag(&self, wanted: u64) {
        self.word(SENDER_WANTS_AT).store(wanted, Ordering::Relaxed);
        self.flag(SENDER_FLAG_AT).store(1, Ordering::SeqCst);
    }
    fn sender_wants(&self) -> Option<u64> {
        let is_up = self.flag(SENDER_FLAG_AT).load(Ordering::SeqCst) != 0;
        is_up.then(|| self.word(SENDER_WANTS_AT).load(Ordering::Relaxed))
    }
    fn take_sender_flag(&self) -> bool {
        self.take(SENDER_FLAG_AT)
    }
}
