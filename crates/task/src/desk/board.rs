//! [`Board`]: one word for each place of a desk, changed by both processes: who may have a job, and whether it shall stop.
//!
//! ```text
//!   owner: put up ──► offered ──┬─ the job process takes it ──► begun ── owner: cancel ──► begun, cancelled
//!                               └─ the owner takes it back ───► retracted
//! ```
//!
//! Both take it by one compare-and-swap, so exactly one of them has it. The word carries the number of the offer: who comes
//! late with an old one takes nothing. The job process can write anything here at any moment; whatever the owner reads, it
//! compares with what it put up itself, and indexes by nothing of it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use phalanx_shared::Segment;

/// Jobs that can be offered and not ended at one time.
pub(crate) const SLOTS: usize = 64;
/// Outputs that can lie in the output file at one time.
pub(crate) const OUTPUTS: usize = 16;

/// Words of a slot: a cache line, so that cancelling one job does not slow another.
const APART: usize = 8;
const WORDS: usize = SLOTS * APART + OUTPUTS;

const OFFERED: u64 = 1;
const BEGUN: u64 = 2;
const RETRACTED: u64 = 3;
const CANCELLED: u64 = 4;
/// Bits of a word below the number of the offer.
const STATE_BITS: u32 = 3;

/// An output lies in the output file, the owner has not read it.
const LIES: u64 = 1;
const FREE: u64 = 0;

/// The shared words.
#[derive(Debug)]
pub(crate) struct Board {
    segment: Segment,
}

impl Board {
    pub(crate) fn create() -> io::Result<Board> {
        Ok(Board { segment: Segment::create("phalanx-board", WORDS * size_of::<u64>())? })
    }

    pub(crate) fn map(descriptor: OwnedFd) -> io::Result<Board> {
        let segment = Segment::map(descriptor)?;
        if segment.len() == WORDS * size_of::<u64>() && segment.is_writable() {
            return Ok(Board { segment });
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the shared memory is no board of a desk"))
    }

    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.segment.descriptor()
    }

    /// The owner puts a job up, before it sends the message.
    pub(crate) fn offer(&self, slot: usize, number: u64) {
        self.claim(slot).store(state(number, OFFERED), Ordering::Release);
    }

    /// The job process takes a job. False if the owner took it back.
    pub(crate) fn begin(&self, slot: usize, number: u64) -> bool {
        self.change(slot, state(number, OFFERED), state(number, BEGUN))
    }

    /// The owner takes a job back. False if it has begun.
    pub(crate) fn retract(&self, slot: usize, number: u64) -> bool {
        self.change(slot, state(number, OFFERED), state(number, RETRACTED))
    }

    /// The owner wants no answer any more. False if the job has not begun.
    pub(crate) fn cancel(&self, slot: usize, number: u64) -> bool {
        self.change(slot, state(number, BEGUN), state(number, BEGUN | CANCELLED))
    }

    pub(crate) fn has_begun(&self, slot: usize, number: u64) -> bool {
        self.claim(slot).load(Ordering::Acquire) & !CANCELLED == state(number, BEGUN)
    }

    pub(crate) fn is_cancelled(&self, slot: usize, number: u64) -> bool {
        self.claim(slot).load(Ordering::Relaxed) == state(number, BEGUN | CANCELLED)
    }

    /// The job process says that an output lies in the file, before it sends the message.
    pub(crate) fn lay_output(&self, output: usize) {
        self.output(output).store(LIES, Ordering::Relaxed);
    }

    /// The owner has read it.
    pub(crate) fn return_output(&self, output: usize) {
        self.output(output).store(FREE, Ordering::Release);
    }

    /// Whether the owner has read it.
    pub(crate) fn is_output_free(&self, output: usize) -> bool {
        self.output(output).load(Ordering::Acquire) == FREE
    }

    fn change(&self, slot: usize, from: u64, to: u64) -> bool {
        self.claim(slot).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Both ends of the index are our own: `slot` < [`SLOTS`].
    fn claim(&self, slot: usize) -> &AtomicU64 {
        &self.segment.words::<AtomicU64>()[slot * APART]
    }

    fn output(&self, output: usize) -> &AtomicU64 {
        &self.segment.words::<AtomicU64>()[SLOTS * APART + output]
    }
}

impl std::os::fd::AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}

fn state(number: u64, state: u64) -> u64 {
    number << STATE_BITS | state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_begun_or_retracted_and_never_both() {
        let board = Board::create().unwrap();
        for number in 1..2_000 {
            board.offer(3, number);
            let (begun, retracted) = std::thread::scope(|scope| {
                let taker = scope.spawn(|| board.begin(3, number));
                (board.retract(3, number), taker.join().unwrap())
            });
            assert!(begun != retracted, "job {number}");
        }
    }

    #[test]
    fn only_a_job_that_has_begun_is_cancelled_and_it_stays_begun() {
        let board = Board::create().unwrap();
        board.offer(0, 7);
        assert!(!board.cancel(0, 7) && !board.is_cancelled(0, 7) && !board.has_begun(0, 7));
        assert!(board.begin(0, 7) && board.cancel(0, 7));
        assert!(board.is_cancelled(0, 7) && board.has_begun(0, 7) && !board.retract(0, 7));
    }

    #[test]
    fn who_comes_late_takes_nothing_of_the_next_offer() {
        let board = Board::create().unwrap();
        board.offer(0, 7);
        assert!(board.retract(0, 7));
        board.offer(0, 8);
        assert!(!board.begin(0, 7) && !board.retract(0, 7) && !board.cancel(0, 7));
        assert!(board.begin(0, 8));
    }
}
