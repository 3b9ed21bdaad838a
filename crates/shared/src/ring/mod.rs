//! [`RingWriter`] and [`RingReader`]: bytes from one process to another through shared memory.
//!
//! ```text
//!   RingWriter ── write ──► │…│ bytes │ bytes │ free …│ ── read ──► RingReader
//!        head ▲               the segment, used round and round        ▲ tail
//! ```
//!
//! One writer, one reader, no lock and no system call. The two do not wait for each other here: who is told how that
//! something came (or that there is space again) is the business of the channel around it; [`RingReader::read`] says
//! when the other must be woken.
//!
//! Errors: those of [`Segment`]; `InvalidInput` for a size or a descriptor that cannot be a ring; `InvalidData` when
//! the other process wrote a position that makes no sense.

mod cursors;
#[cfg(all(test, loom))]
mod model;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::{Segment, bytes as copies};
use cursors::Cursors;

/// Every write begins at a multiple of this, so that the copies move whole words.
const WORD_BYTES: usize = size_of::<u64>();
/// Words between two positions that different processes write: two cache lines, because processors fetch pairs.
const APART: usize = 16;
const MARK_AT: usize = 0;
const HEAD_AT: usize = APART;
const TAIL_AT: usize = 2 * APART;
const WAITING_AT: usize = 3 * APART;
/// Words before the first byte.
const HEADER_WORDS: usize = 4 * APART;
/// First word of every ring ("PHXRING" and the version of the layout), so that no other segment is mistaken for one.
const MARK: u64 = u64::from_be_bytes(*b"PHXRING\x01");

/// The words of a segment that is a ring.
#[derive(Debug)]
struct Words {
    segment: Segment,
}

impl Words {
    fn of(segment: Segment) -> io::Result<Words> {
        let words = segment.words::<AtomicU64>();
        if words.len() <= HEADER_WORDS || !segment.is_writable() || words[MARK_AT].load(Ordering::Acquire) != MARK {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the shared memory is no ring"));
        }
        Ok(Words { segment })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        &self.segment.words::<AtomicU64>()[index]
    }

    fn places(&self) -> &[AtomicU64] {
        &self.segment.words::<AtomicU64>()[HEADER_WORDS..]
    }

    /// Bytes that fit.
    fn capacity(&self) -> usize {
        self.places().len() * WORD_BYTES
    }

    /// The `words` places that begin at `position`, in their two runs: up to the end of the ring, and from its start.
    fn runs(&self, position: u64, words: usize) -> (&[AtomicU64], &[AtomicU64]) {
        let places = self.places();
        let start = (position / WORD_BYTES as u64 % places.len() as u64) as usize;
        let first = words.min(places.len() - start);
        (&places[start..start + first], &places[..words - first])
    }
}

impl Cursors for Words {
    fn head(&self) -> u64 {
        self.word(HEAD_AT).load(Ordering::Acquire)
    }
    fn set_head(&self, position: u64) {
        self.word(HEAD_AT).store(position, Ordering::Release);
    }
    fn tail(&self) -> u64 {
        self.word(TAIL_AT).load(Ordering::Acquire)
    }
    fn set_tail(&self, position: u64) {
        self.word(TAIL_AT).store(position, Ordering::Release);
    }
    fn set_waiting(&self) {
        self.word(WAITING_AT).store(1, Ordering::Release);
    }
    fn take_waiting(&self) -> bool {
        self.word(WAITING_AT).load(Ordering::Relaxed) != 0 && self.word(WAITING_AT).swap(0, Ordering::AcqRel) != 0
    }
    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// The writing end of a ring.
///
/// ```
/// use phalanx_shared::{RingReader, RingWriter};
///
/// let mut writer = RingWriter::create("example", 64 * 1024)?;
/// let mut reader = RingReader::from_descriptor(writer.descriptor()?)?; // in the other process
///
/// assert_eq!(writer.write(b"hello")?, 5);
/// let mut bytes = Vec::new();
/// reader.read(5, &mut bytes)?;
/// assert_eq!(bytes, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct RingWriter {
    words: Words,
    head: u64,
}

impl RingWriter {
    /// A ring for at least `capacity` bytes, to be shared by [`descriptor`](RingWriter::descriptor). `name` appears in
    /// `/proc/PID/maps` and nowhere else.
    pub fn create(name: &str, capacity: usize) -> io::Result<RingWriter> {
        let places = capacity.div_ceil(WORD_BYTES).max(1);
        let segment = Segment::create(name, (HEADER_WORDS + places) * WORD_BYTES)?;
        segment.words::<AtomicU64>()[MARK_AT].store(MARK, Ordering::Release);
        Ok(RingWriter { words: Words::of(segment)?, head: 0 })
    }

    /// A descriptor of the ring, for the process that reads.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.words.segment.descriptor()
    }

    /// Bytes that fit in all.
    pub fn capacity(&self) -> usize {
        self.words.capacity()
    }

    /// Writes as much of the front of `bytes` as there is space for, and says how much that was. When it is nothing,
    /// the reader knows that somebody waits: its next [`read`](RingReader::read) tells it to wake the writer.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = cursors::free_or_wait(&self.words, self.head, self.capacity() as u64)? as usize;
        let count = bytes.len().min(free);
        let (front, back) = self.words.runs(self.head, count.div_ceil(WORD_BYTES));
        let (for_front, for_back) = bytes[..count].split_at(count.min(front.len() * WORD_BYTES));
        copies::store(front, for_front);
        copies::store(back, for_back);
        self.head += (count.div_ceil(WORD_BYTES) * WORD_BYTES) as u64;
        self.words.set_head(self.head);
        Ok(count)
    }
}

/// What the writer must be told after a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Freed {
    /// Nothing: it does not wait.
    NobodyWaits,
    /// There is space again, and it waits for that.
    WakeTheWriter,
}

/// The reading end of a ring.
#[derive(Debug)]
pub struct RingReader {
    words: Words,
    tail: u64,
}

impl RingReader {
    /// The ring behind a descriptor that came from [`RingWriter::descriptor`]. One reader a ring.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<RingReader> {
        Ok(RingReader { words: Words::of(Segment::map(descriptor)?)?, tail: 0 })
    }

    /// Bytes that fit in all.
    pub fn capacity(&self) -> usize {
        self.words.capacity()
    }

    /// Appends the `count` bytes of one [`write`](RingWriter::write) to `into` and gives their space back.
    ///
    /// The bytes are copied: nothing that the writer does later changes what was read.
    pub fn read(&mut self, count: usize, into: &mut Vec<u8>) -> io::Result<Freed> {
        let words = count.div_ceil(WORD_BYTES);
        let filled = cursors::filled(&self.words, self.tail, self.capacity() as u64)?;
        if (words * WORD_BYTES) as u64 > filled {
            let why = format!("{count} bytes were announced in the shared ring, it holds {filled}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let (front, back) = self.words.runs(self.tail, words);
        let in_front = count.min(front.len() * WORD_BYTES);
        into.reserve(words * WORD_BYTES);
        copies::append(front, in_front, into);
        copies::append(back, count - in_front, into);
        self.tail += (words * WORD_BYTES) as u64;
        Ok(if cursors::release(&self.words, self.tail) { Freed::WakeTheWriter } else { Freed::NobodyWaits })
    }
}
