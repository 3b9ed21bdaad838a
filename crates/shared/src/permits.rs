//! [`Permits`]: the right to use a core now, counted for the whole cluster.
//!
//! ```text
//!   worker 1 (slot 0) ── compare-and-swap ──┐
//!   worker 2 (slot 1) ── compare-and-swap ──┤
//!                                           ▼
//!        core 0: [ slot 0, generation 7 ]   core 1: [ free ]   core 2: [ slot 1, generation 3 ]  …
//!                                           ▲
//!   primary ── sweep(owner of a dead process)
//! ```
//!
//! A permit is **advice, never a lock**: whoever finds none waits a little and then works all the same. So nothing
//! that another process does (die, stop, lie) can hold anybody up for longer than the patience he brought.
//!
//! Errors: those of [`Segment`], and `InvalidInput` for a number of cores or a descriptor that cannot be permits.

mod board;
#[cfg(all(test, loom))]
mod model;
mod owner;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use rustix::thread::futex;

use crate::Segment;
use board::Board;

pub use owner::{Generation, Owner, SlotIndex};

/// One word per cache line, so that two cores that take and release never share one (x86-64 and aarch64: 64 bytes).
const LINE_BYTES: usize = 64;
/// Line 0 holds the mark, line 1 the release counter and the waiting flag; the permits follow.
const HEADER_LINES: usize = 2;
/// More cores than any machine that Linux runs on offers (`CONFIG_NR_CPUS` is at most 8192).
const MOST_CORES: usize = 8192;
/// First word of every permit segment ("PHXPERM" and the version of the layout), so that no other segment is mistaken
/// for one.
const MARK: u64 = u64::from_be_bytes(*b"PHXPERM\x01");

/// The permits of a cluster: one word per core, which holds its owner or is free.
///
/// Cheap to clone; all clones, and all processes that mapped the same descriptor, share the same words.
///
/// ```
/// use phalanx_shared::{Generation, Owner, Permits, SlotIndex};
///
/// let primary = Permits::create(2)?;
/// let worker = Permits::from_descriptor(primary.descriptor()?)?; // in the worker, with the descriptor it was given
/// let owner = Owner::new(SlotIndex(0), Generation(1));
///
/// let permit = worker.try_acquire(owner).expect("a free core");
/// assert_eq!(primary.in_use(), 1);
/// drop(permit);
/// assert_eq!(primary.in_use(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Permits {
    segment: Arc<Segment>,
}

impl Permits {
    /// Permits for `cores` cores (1 to 8192), all free, to be shared with other processes by [`descriptor`].
    ///
    /// [`descriptor`]: Permits::descriptor
    pub fn create(cores: usize) -> io::Result<Permits> {
        if cores == 0 || cores > MOST_CORES {
            return Err(invalid(format!("cannot create permits for {cores} cores: give 1 to {MOST_CORES}")));
        }
        let segment = Segment::create("phalanx-permits", (HEADER_LINES + cores) * LINE_BYTES)?;
        segment.words::<AtomicU64>()[0].store(MARK, Ordering::Release);
        Ok(Permits { segment: Arc::new(segment) })
    }

    /// Permits of this process alone, for a program without a cluster. The same as [`Permits::create`].
    pub fn for_process(cores: usize) -> io::Result<Permits> {
        Permits::create(cores)
    }

    /// Maps the permits behind a descriptor that another process made with [`Permits::descriptor`].
    ///
    /// The number of cores comes from the sealed size of the memory, never from what somebody wrote into it.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Permits> {
        let segment = Segment::map(descriptor)?;
        if !segment.is_writable() {
            return Err(invalid("cannot use the permits: the descriptor is read-only; pass `Permits::descriptor`"));
        }
        let lines = segment.len() / LINE_BYTES;
        let sized = segment.len().is_multiple_of(LINE_BYTES) && lines > HEADER_LINES;
        if !sized || lines > HEADER_LINES + MOST_CORES {
            return Err(invalid(format!("cannot use the permits: {} bytes is no size of theirs", segment.len())));
        }
        if segment.words::<AtomicU64>()[0].load(Ordering::Acquire) != MARK {
            return Err(invalid("cannot use the permits: the descriptor is another kind of shared memory"));
        }
        Ok(Permits { segment: Arc::new(segment) })
    }

    /// A descriptor to hand to another process, which maps it with [`Permits::from_descriptor`].
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.segment.descriptor()
    }

    /// Takes a permit if one is free; never waits, never enters the kernel.
    pub fn try_acquire(&self, owner: Owner) -> Option<Permit> {
        board::try_acquire(&*self.segment, owner).map(|index| self.permit(index, owner))
    }

    /// Takes a permit, waiting for one at most `patience`. The waiting thread sleeps in the kernel.
    ///
    /// `None` means that all permits stayed taken: work without one, since a permit is advice (and count that you did).
    /// Waiters are not served in order: a newcomer may overtake.
    pub fn acquire_within(&self, owner: Owner, patience: Duration) -> Option<Permit> {
        board::acquire_within(&*self.segment, owner, Some(patience)).map(|index| self.permit(index, owner))
    }

    /// Frees everything that `owner` holds, because its process ended; returns how many permits that were.
    ///
    /// To sweep a process that still lives is harmless: its permits then free nothing when they are dropped.
    pub fn sweep(&self, owner: Owner) -> usize {
        board::sweep(&*self.segment, |word| word == owner.word())
    }

    /// Frees every permit whose owner `lives` denies, also words that are no owner at all; returns how many.
    ///
    /// For the primary, after an upgrade or when a process wrote nonsense.
    pub fn retain(&self, mut lives: impl FnMut(Owner) -> bool) -> usize {
        board::sweep(&*self.segment, |word| !Owner::from_word(word).is_some_and(&mut lives))
    }

    /// How many permits are taken now, by any process.
    pub fn in_use(&self) -> usize {
        self.holders().count()
    }

    /// How many permits `owner` holds now.
    pub fn held_by(&self, owner: Owner) -> usize {
        self.holders().filter(|word| *word == owner.word()).count()
    }

    /// How many permits there are: the cores of the cluster.
    pub fn cores(&self) -> usize {
        self.segment.permits()
    }

    fn holders(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.cores()).map(|index| self.segment.holder(index)).filter(|word| *word != board::FREE)
    }

    fn permit(&self, index: usize, owner: Owner) -> Permit {
        Permit { permits: self.clone(), index, owner }
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("cores", &self.cores()).field("in_use", &self.in_use()).finish()
    }
}

/// The right to use one core until it is dropped.
///
/// Dropping it frees the core only if the word still holds our owner: after a [sweep](Permits::sweep) it may be
/// somebody else's.
#[derive(Debug)]
#[must_use = "the core is free again as soon as the permit is dropped"]
pub struct Permit {
    permits: Permits,
    index: usize,
    owner: Owner,
}

impl Permit {
    /// Who holds it.
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        board::release(&*self.permits.segment, self.index, self.owner);
    }
}

/// The words of a segment as the board that `board.rs` plays on. Indices come from `permits()` alone, which comes from
/// the sealed size.
impl Board for Segment {
    fn permits(&self) -> usize {
        self.len() / LINE_BYTES - HEADER_LINES
    }

    fn holder(&self, index: usize) -> u64 {
        permit_word(self, index).load(Ordering::Acquire)
    }

    fn replace(&self, index: usize, current: u64, new: u64) -> bool {
        permit_word(self, index).compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn releases(&self) -> u32 {
        release_counter(self).load(Ordering::Acquire)
    }

    fn count_release(&self) {
        release_counter(self).fetch_add(1, Ordering::AcqRel);
    }

    fn somebody_waits(&self) -> bool {
        waiting_flag(self).load(Ordering::Relaxed) != 0
    }

    fn set_waiting(&self) {
        waiting_flag(self).store(1, Ordering::Release);
    }

    fn take_waiting(&self) -> bool {
        waiting_flag(self).swap(0, Ordering::AcqRel) != 0
    }

    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn park(&self, seen: u32, patience: Option<Duration>) {
        // No private flag: the waker may be another process. Every outcome (woken, changed, interrupted, too late) is
        // the same to the caller, who looks again.
        let timeout = patience.and_then(|patience| patience.try_into().ok());
        let _ = futex::wait(release_counter(self), futex::Flags::empty(), seen, timeout.as_ref());
    }

    fn wake(&self, sleepers: u32) {
        let _ = futex::wake(release_counter(self), futex::Flags::empty(), sleepers);
    }
}

fn permit_word(segment: &Segment, index: usize) -> &AtomicU64 {
    &segment.words::<AtomicU64>()[(HEADER_LINES + index) * LINE_BYTES / size_of::<AtomicU64>()]
}

fn release_counter(segment: &Segment) -> &AtomicU32 {
    &segment.words::<AtomicU32>()[LINE_BYTES / size_of::<AtomicU32>()]
}

fn waiting_flag(segment: &Segment) -> &AtomicU32 {
    &segment.words::<AtomicU32>()[LINE_BYTES / size_of::<AtomicU32>() + 1]
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
