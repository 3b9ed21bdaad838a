//! [`SharedBudget`]: the memory for pictures, one for all workers of the cluster.
//!
//! ```text
//!   worker 1 ── announces on its page ──► [ reserved 40 MiB ]  ┐
//!   worker 2 ── announces on its page ──► [ reserved 12 MiB ]  ┴─ the sum of all pages must not pass the limit
//! ```
//!
//! Whoever wants memory first adds it to its own page, then adds up the pages of all, and takes it back if that is too much.
//! So two who ask at the same time may both be refused, but never both be let in; who was refused for that reason alone
//! tries again. There is no lock that a killed worker could hold: its page is emptied when it is buried.

use phalanx::Worker;
use phalanx::memory::{Budget, Exhausted, Reservation};
use phalanx::shared::Field;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// Tries of one who met others that asked at the same moment.
const MOST_TRIES: u32 = 16;

/// What all workers have announced.
pub(crate) trait Board: Send + Sync {
    /// Adds to what this worker has announced.
    fn announce(&self, bytes: u64);
    /// Takes from it.
    fn withdraw(&self, bytes: u64);
    /// What all have announced, this worker too.
    fn announced(&self) -> u64;
    /// Most that this worker ever had.
    fn set_peak(&self, bytes: u64);
}

/// The scoreboard of the cluster.
impl Board for Worker {
    fn announce(&self, bytes: u64) {
        self.scoreboard().add(Field::ReservedBytes, bytes);
    }

    fn withdraw(&self, bytes: u64) {
        self.scoreboard().subtract(Field::ReservedBytes, bytes);
    }

    fn announced(&self) -> u64 {
        self.scoreboard().get(Field::ReservedBytes).saturating_add(self.sum_of_others(Field::ReservedBytes))
    }

    fn set_peak(&self, bytes: u64) {
        self.scoreboard().set(Field::PeakReservedBytes, bytes);
    }
}

/// A budget that this worker shares with its siblings. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SharedBudget {
    /// What this worker has of it.
    own: Budget,
    board: Arc<dyn Board>,
}

impl SharedBudget {
    /// The budget of the cluster that `worker` is in: `bytes` for all its workers together.
    pub(crate) fn of_cluster(bytes: u64, worker: &Worker) -> SharedBudget {
        worker.scoreboard().set(Field::BudgetBytes, bytes);
        SharedBudget { own: Budget::named("pictures", bytes), board: Arc::new(worker.clone()) }
    }

    #[cfg(test)]
    pub(crate) fn on(board: Arc<dyn Board>, bytes: u64) -> SharedBudget {
        SharedBudget { own: Budget::new(bytes), board }
    }

    /// Takes `bytes` until the reservation is dropped; fails at once if they are not free.
    pub(crate) fn try_reserve(&self, bytes: u64) -> Result<Reserved, Exhausted> {
        let mut reserved =
            Reserved { part: self.own.try_reserve(0)?, budget: self.own.clone(), board: Arc::clone(&self.board) };
        reserved.try_grow(bytes)?;
        Ok(reserved)
    }

    /// Bytes in all.
    pub(crate) fn limit(&self) -> u64 {
        self.own.limit()
    }

    /// Bytes that this worker has reserved.
    pub(crate) fn reserved(&self) -> u64 {
        self.own.reserved()
    }

    /// Bytes that all workers have reserved.
    pub(crate) fn reserved_by_all(&self) -> u64 {
        self.board.announced()
    }
}

/// Bytes taken out of a [`SharedBudget`]; dropping it gives them back.
#[must_use = "the bytes are free again as soon as the reservation is dropped"]
pub(crate) struct Reserved {
    part: Reservation,
    budget: Budget,
    board: Arc<dyn Board>,
}

impl Reserved {
    pub(crate) fn bytes(&self) -> u64 {
        self.part.bytes()
    }

    /// Reserves `more` in addition, or changes nothing. What is told as wanted is all of it: it never fits if that exceeds the limit.
    pub(crate) fn try_grow(&mut self, more: u64) -> Result<(), Exhausted> {
        let (held, limit) = (self.part.bytes(), self.budget.limit());
        let wanted = held.saturating_add(more);
        if wanted > limit {
            return Err(Exhausted { wanted, free: limit, limit });
        }
        for _ in 0..MOST_TRIES {
            self.board.announce(more);
            // Ours is seen by all before we look at theirs: of two at the same time at least one sees the other.
            fence(Ordering::SeqCst);
            if self.board.announced() <= limit && self.part.try_grow(more).is_ok() {
                self.board.set_peak(self.budget.peak());
                return Ok(());
            }
            self.board.withdraw(more);
            fence(Ordering::SeqCst);
            let free = limit.saturating_sub(self.board.announced());
            if more > free {
                return Err(Exhausted { wanted, free: free.saturating_add(held), limit });
            }
            // Somebody asked at the same moment, and has taken it back as we have.
            std::thread::yield_now();
        }
        Err(Exhausted { wanted, free: held, limit })
    }

    /// Whether there is room for `more` now. Nothing is taken.
    pub(crate) fn may_grow(&self, more: u64) -> Result<(), Exhausted> {
        let (held, limit) = (self.part.bytes(), self.budget.limit());
        let wanted = held.saturating_add(more);
        let free = limit.saturating_sub(self.board.announced());
        if more <= free { Ok(()) } else { Err(Exhausted { wanted, free: free.saturating_add(held), limit }) }
    }

    /// Gives back what exceeds `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: u64) {
        let excess = self.part.bytes().saturating_sub(bytes);
        self.part.shrink_to(bytes);
        self.board.withdraw(excess);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl fmt::Debug for SharedBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBudget").field("own", &self.own).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    /// Pages of all workers; one of them is ours.
    pub(crate) struct Pages {
        pages: Arc<[AtomicU64]>,
        ours: usize,
    }

    impl Pages {
        fn of(pages: &Arc<[AtomicU64]>, ours: usize) -> Arc<dyn Board> {
            Arc::new(Pages { pages: Arc::clone(pages), ours })
        }

        /// A cluster of one worker.
        pub(crate) fn alone() -> Arc<dyn Board> {
            let pages: Arc<[AtomicU64]> = Arc::new([AtomicU64::new(0)]);
            Pages::of(&pages, 0)
        }
    }

    impl Board for Pages {
        fn announce(&self, bytes: u64) {
            self.pages[self.ours].fetch_add(bytes, Ordering::Relaxed);
        }

        fn withdraw(&self, bytes: u64) {
            self.pages[self.ours].fetch_sub(bytes, Ordering::Relaxed);
        }

        fn announced(&self) -> u64 {
            self.pages.iter().map(|page| page.load(Ordering::Relaxed)).sum()
        }

        fn set_peak(&self, _: u64) {}
    }

    fn two_workers(limit: u64) -> [SharedBudget; 2] {
        let pages: Arc<[AtomicU64]> = Arc::new([const { AtomicU64::new(0) }; 2]);
        [0, 1].map(|ours| SharedBudget::on(Pages::of(&pages, ours), limit))
    }

    #[test]
    fn one_worker_may_have_all_of_it_and_what_it_has_the_others_have_not() {
        let [first, second] = two_workers(100);
        let all = first.try_reserve(100).unwrap();
        let refused = second.try_reserve(1).err().unwrap();
        assert_eq!((refused.free, refused.never_fits()), (0, false));
        assert_eq!(first.reserved(), 100);
        drop(all);
        let mut some = second.try_reserve(60).unwrap();
        assert!(first.try_reserve(41).is_err());
        some.shrink_to(10);
        drop(first.try_reserve(90).unwrap());
        assert_eq!((second.reserved_by_all(), some.bytes()), (10, 10));
    }

    #[test]
    fn what_is_held_already_counts_to_what_can_never_fit() {
        let [budget, _] = two_workers(100);
        let mut held = budget.try_reserve(60).unwrap();
        assert!(held.try_grow(41).unwrap_err().never_fits());
        assert_eq!(held.bytes(), 60);
        let _other = budget.try_reserve(10).unwrap();
        assert!(!held.try_grow(40).unwrap_err().never_fits());
    }

    #[test]
    fn workers_at_the_same_time_never_take_more_than_there_is_and_give_all_back() {
        const LIMIT: u64 = 100;
        let pages: Arc<[AtomicU64]> = Arc::new([const { AtomicU64::new(0) }; 4]);
        // What was truly granted.
        let granted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for ours in 0..4 {
                let budget = SharedBudget::on(Pages::of(&pages, ours), LIMIT);
                let granted = &granted;
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let bytes = 20 + (ours as u64 * 13 + round) % 40;
                        let Ok(kept) = budget.try_reserve(bytes) else { continue };
                        assert!(granted.fetch_add(bytes, Ordering::SeqCst) + bytes <= LIMIT);
                        granted.fetch_sub(bytes, Ordering::SeqCst);
                        drop(kept);
                    }
                });
            }
        });
        assert!(pages.iter().all(|page| page.load(Ordering::SeqCst) == 0));
    }
}
