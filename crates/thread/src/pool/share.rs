//! The pool's share of the cluster's cores: which of its jobs run with a permit.
//!
//! **The rule:** of the jobs that run in a process, as many may run as it holds permits, but always one. A job for
//! which there is no permit waits for [`PATIENCE`] and then runs all the same, since a permit is advice.
//!
//! A permit belongs to the pool, not to a thread: one that is taken for a second job while the first runs without
//! covers the first, and the second goes on waiting.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use phalanx_shared::{Owner, Permit, Permits};

use crate::sync::lock;

/// How long a job waits for a permit at most. Longer than a slice of the scheduler, shorter than anybody notices.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);
/// How often a waiting thread looks whether the process has become idle meanwhile: no futex tells it that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

pub(crate) struct CoreShare {
    permits: Permits,
    owner: Owner,
    ledger: Mutex<Ledger>,
    without_permit: AtomicU64,
}

struct Ledger {
    running: usize,
    held: Vec<Permit>,
}

impl CoreShare {
    pub(crate) fn new(permits: Permits, owner: Owner) -> CoreShare {
        let ledger = Ledger { running: 0, held: Vec::new() };
        CoreShare { permits, owner, ledger: Mutex::new(ledger), without_permit: AtomicU64::new(0) }
    }

    /// Returns when a job may run.
    pub(crate) fn enter(&self) {
        if self.try_enter() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.without_permit.fetch_add(1, Ordering::Relaxed);
                lock(&self.ledger).running += 1;
                return;
            }
            if let Some(permit) = self.permits.acquire_within(self.owner, left.min(LOOK_AGAIN)) {
                lock(&self.ledger).held.push(permit);
            }
            if self.try_enter() {
                return;
            }
        }
    }

    /// A job no longer burns a core.
    pub(crate) fn leave(&self) {
        let mut ledger = lock(&self.ledger);
        ledger.running -= 1;
        while ledger.held.len() > ledger.running {
            let permit = ledger.held.pop();
            drop(ledger);
            // May wake a waiter: not under our lock.
            drop(permit);
            ledger = lock(&self.ledger);
        }
    }

    /// Runs something that blocks, as no running job; a panic passes through.
    pub(crate) fn outside<R>(&self, blocking: impl FnOnce() -> R) -> R {
        struct Back<'s>(&'s CoreShare);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.enter();
            }
        }
        self.leave();
        let _back = Back(self);
        blocking()
    }

    /// Jobs that ran without a permit because none came in time.
    pub(crate) fn without_permit(&self) -> u64 {
        self.without_permit.load(Ordering::Relaxed)
    }

    /// Whether every core of the cluster is taken.
    pub(crate) fn all_taken(&self) -> bool {
        self.permits.in_use() >= self.permits.cores()
    }

    fn try_enter(&self) -> bool {
        let mut ledger = lock(&self.ledger);
        while ledger.held.len() <= ledger.running {
            match self.permits.try_acquire(self.owner) {
                Some(permit) => ledger.held.push(permit),
                None => break,
            }
        }
        let may_run = ledger.running < ledger.held.len().max(1);
        if may_run {
            ledger.running += 1;
        }
        may_run
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use phalanx_shared::{Generation, SlotIndex};

    fn owner(slot: u16) -> Owner {
        Owner::new(SlotIndex(slot), Generation(1))
    }

    fn share(permits: &Permits) -> CoreShare {
        CoreShare::new(permits.clone(), owner(1))
    }

    #[test]
    fn each_running_job_holds_a_permit_and_gives_it_back() {
        let permits = Permits::create(3).unwrap();
        let share = share(&permits);
        share.enter();
        share.enter();
        assert_eq!(permits.held_by(owner(1)), 2);
        share.leave();
        assert_eq!(permits.held_by(owner(1)), 1);
        share.leave();
        assert_eq!((permits.in_use(), share.without_permit()), (0, 0));
    }

    #[test]
    fn one_job_runs_at_once_though_all_permits_are_taken_and_a_second_after_its_patience() {
        let permits = Permits::create(1).unwrap();
        let _taken = permits.try_acquire(owner(9)).unwrap();
        let share = share(&permits);
        assert!(share.try_enter(), "the one job that every process may run");
        assert!(!share.try_enter());
        share.enter();
        assert_eq!(share.without_permit(), 1);
        share.leave();
        share.leave();
        assert_eq!((permits.held_by(owner(1)), permits.in_use()), (0, 1));
    }

    #[test]
    fn a_permit_that_comes_late_covers_the_job_that_runs_without() {
        let permits = Permits::create(1).unwrap();
        let taken = permits.try_acquire(owner(9)).unwrap();
        let share = share(&permits);
        share.enter();
        drop(taken);
        assert!(!share.try_enter(), "one core, one job");
        assert_eq!(permits.held_by(owner(1)), 1);
        share.leave();
        assert_eq!(permits.in_use(), 0);
    }

    #[test]
    fn a_job_that_blocks_gives_its_permit_away_meanwhile_even_if_it_panics() {
        let permits = Permits::create(1).unwrap();
        let share = share(&permits);
        share.enter();
        assert_eq!(share.outside(|| permits.in_use()), 0);
        assert_eq!(permits.in_use(), 1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| share.outside(|| panic!("expected"))));
        assert!(panicked.is_err());
        assert_eq!(permits.in_use(), 1);
        share.leave();
        assert_eq!(permits.in_use(), 0);
    }
}
