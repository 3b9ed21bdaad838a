//! [`Room`]: how many leases may be in our hands.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Jobs that are claimed ahead for each that runs, if they are short.
const AHEAD: usize = 4;
/// They are if one takes no longer than this: some rounds to the store.
const SHORT: Duration = Duration::from_millis(2);
/// Leases of one claim.
const MOST_OF_A_CLAIM: usize = 128;
/// Reports that the store has not confirmed, for each lease that there is room for; beyond that nothing more is claimed.
const MOST_UNSAID: usize = 4;
/// The first rest after the pool had no room, and the longest.
const FIRST_REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Room {
    concurrency: usize,
    /// As it was set; else it is found out.
    prefetch: Option<usize>,
    held: AtomicUsize,
    /// How long a job takes, in nanoseconds: a moving average. 0 if nothing is known.
    typical_ns: AtomicU64,
    /// How often in a row the pool had no room.
    refusals: AtomicU32,
    rest: Mutex<Option<Instant>>,
}

impl Room {
    pub(super) fn new(concurrency: usize, prefetch: Option<usize>) -> Room {
        Room {
            concurrency,
            prefetch,
            held: AtomicUsize::new(0),
            typical_ns: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            rest: Mutex::default(),
        }
    }

    /// How many more to claim now; 0: not yet.
    pub(super) fn free(&self, unsaid: usize) -> usize {
        let (held, ahead) = (self.held.load(Ordering::Relaxed), self.ahead());
        let all = self.concurrency + ahead;
        let free = all.saturating_sub(held).min(MOST_OF_A_CLAIM);
        // While all are busy a few at once are cheaper than one after the other.
        let is_worth_it = held < self.concurrency || free * 2 > ahead;
        if is_worth_it && unsaid < all * MOST_UNSAID { free } else { 0 }
    }

    fn ahead(&self) -> usize {
        let short = || (1..=SHORT.as_nanos() as u64).contains(&self.typical_ns.load(Ordering::Relaxed));
        self.prefetch.unwrap_or_else(|| if short() { self.concurrency * AHEAD } else { 0 })
    }

    pub(super) fn took(&self) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// A lease is over that was held for so long.
    pub(super) fn gave(&self, time: Duration) {
        let held = self.held.fetch_sub(1, Ordering::Relaxed).max(self.concurrency);
        // It has waited for others here.
        let alone = time.as_nanos() as u64 / held as u64 * self.concurrency as u64;
        let before = self.typical_ns.load(Ordering::Relaxed);
        let after = if before == 0 { alone } else { before - before / 8 + alone / 8 };
        self.typical_ns.store(after.max(1), Ordering::Relaxed);
    }

    /// The pool had no room.
    pub(super) fn was_refused(&self) {
        let refusals = self.refusals.fetch_add(1, Ordering::Relaxed).min(16);
        let rest = FIRST_REST.saturating_mul(1 << refusals).min(LONGEST_REST);
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + rest);
    }

    /// The pool has run one.
    pub(super) fn was_accepted(&self) {
        if self.refusals.load(Ordering::Relaxed) > 0 {
            self.refusals.store(0, Ordering::Relaxed);
        }
    }

    /// Until when nothing is claimed, because the pool has no room.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_jobs_are_claimed_ahead_and_long_ones_are_not() {
        let room = Room::new(2, None);
        assert_eq!(room.free(0), 2, "nothing is known");
        let run = |time| {
            room.took();
            room.gave(time);
        };
        (0..50).for_each(|_| run(Duration::from_micros(50)));
        assert_eq!(room.free(0), 2 + 2 * AHEAD);
        (0..50).for_each(|_| run(Duration::from_secs(1)));
        assert_eq!(room.free(0), 2);
        (0..2).for_each(|_| room.took());
        assert_eq!(room.free(0), 0);
    }

    #[test]
    fn what_was_set_counts_and_nothing_is_claimed_while_nothing_is_confirmed() {
        let room = Room::new(1, Some(3));
        assert_eq!(room.free(0), 4);
        assert_eq!(room.free(16), 0);
        (0..2).for_each(|_| room.took());
        assert_eq!(room.free(0), 2);
        room.took();
        assert_eq!(room.free(0), 0, "one alone is not worth it");
    }

    #[test]
    fn a_pool_without_room_is_left_alone_for_longer_and_longer() {
        let room = Room::new(1, None);
        room.was_refused();
        let first = room.rests_until().unwrap();
        (0..20).for_each(|_| room.was_refused());
        assert!(room.rests_until().unwrap() > first + Duration::from_secs(4));
        assert!(room.rests_until().is_none());
    }
}
