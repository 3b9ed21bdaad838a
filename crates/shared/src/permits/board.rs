//! The rules of taking, freeing and sweeping, apart from where the words live: on a segment for use, on loom's words
//! for the model (`model.rs`).
//!
//! Why nobody misses a wake-up. A waiter raises the flag, *then* looks for a free word; a releaser frees the word,
//! *then* looks at the flag; a full fence stands between the two steps on both sides, so at least one of them sees the
//! other. The flag, not a count of waiters, because a count would stay wrong for ever once a waiter is killed; a
//! stale flag costs one needless wake-up and is gone.
//!
//! A release wakes one sleeper and lowers the flag. Whoever got a permit after waiting raised the flag again before he
//! looked, and if a further word is free he passes the wake-up on: a release that came while the flag was down is not
//! lost either. A waiter that is killed between being woken and passing on costs the others their patience, no more.

use std::time::{Duration, Instant};

use super::owner::Owner;

/// The word of a core that nobody holds.
pub(super) const FREE: u64 = 0;

/// The shared words, and the sleep and the wake-up that belong to them.
pub(super) trait Board {
    /// How many permits there are; every `index` is smaller.
    fn permits(&self) -> usize;
    /// The word of one permit (acquire).
    fn holder(&self, index: usize) -> u64;
    /// Compare-and-swap of one permit (acquire and release).
    fn replace(&self, index: usize, current: u64, new: u64) -> bool;
    /// The release counter, on which sleepers sleep (acquire).
    fn releases(&self) -> u32;
    /// Moves the release counter on (release).
    fn count_release(&self);
    /// Reads the waiting flag.
    fn somebody_waits(&self) -> bool;
    /// Raises the waiting flag (release).
    fn set_waiting(&self);
    /// Lowers the waiting flag (acquire and release); true for the one who did.
    fn take_waiting(&self) -> bool;
    /// A sequentially consistent fence.
    fn full_fence(&self);
    /// Sleeps while the release counter is `seen`, at most for `patience`; may return early for no reason.
    fn park(&self, seen: u32, patience: Option<Duration>);
    /// Wakes up to `sleepers` sleepers.
    fn wake(&self, sleepers: u32);
}

/// The index of a permit that is now `owner`'s. Each slot starts its search elsewhere, so that processes rarely meet.
pub(super) fn try_acquire(board: &impl Board, owner: Owner) -> Option<usize> {
    let permits = board.permits();
    let first = usize::from(owner.slot().0) % permits;
    (first..permits)
        .chain(0..first)
        .find(|&index| board.holder(index) == FREE && board.replace(index, FREE, owner.word()))
}

/// As [`try_acquire`], but sleeps while all are taken. No patience means for ever (the model uses it; no public call).
pub(super) fn acquire_within(board: &impl Board, owner: Owner, patience: Option<Duration>) -> Option<usize> {
    if let Some(index) = try_acquire(board, owner) {
        return Some(index);
    }
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    loop {
        // Before the flag: a release that takes our flag down must differ from the one we have seen, or we would sleep
        // with the flag down.
        let seen = board.releases();
        board.set_waiting();
        board.full_fence();
        if let Some(index) = try_acquire(board, owner) {
            pass_on(board);
            return Some(index);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        board.park(seen, left);
    }
}

/// Frees a permit if it is still `owner`'s; false if it was swept meanwhile.
pub(super) fn release(board: &impl Board, index: usize, owner: Owner) -> bool {
    let was_ours = board.replace(index, owner.word(), FREE);
    if was_ours {
        wake_waiters(board, 1);
    }
    was_ours
}

/// Frees every taken permit whose word `is_gone` recognises; how many.
pub(super) fn sweep(board: &impl Board, mut is_gone: impl FnMut(u64) -> bool) -> usize {
    let freed = (0..board.permits())
        .filter(|&index| {
            let word = board.holder(index);
            word != FREE && is_gone(word) && board.replace(index, word, FREE)
        })
        .count();
    if freed > 0 {
        wake_waiters(board, freed as u32);
    }
    freed
}

fn wake_waiters(board: &impl Board, sleepers: u32) {
    board.full_fence();
    if board.somebody_waits() && board.take_waiting() {
        board.count_release();
        board.wake(sleepers);
    }
}

/// Called by a former waiter, whose flag is up: another release may have found it down.
fn pass_on(board: &impl Board) {
    if (0..board.permits()).any(|index| board.holder(index) == FREE) {
        board.count_release();
        board.wake(1);
    }
}
