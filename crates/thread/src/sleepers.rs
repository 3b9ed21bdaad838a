//! [`Sleepers`]: threads without work, of which one is woken when there is work for one more.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::checked::{AtomicUsize, Bed, Mutex, Ordering, fence, lock};

/// Threads without work, asleep until there is some; no wake-up is lost.
///
/// What is work, others know: who goes to sleep looks once more after he can be woken, and who made work asks afterwards
/// whether anybody sleeps. Who fell asleep last is woken first: its caches are warm.
///
/// ```
/// use phalanx_thread::Sleepers;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let (sleepers, work) = (Sleepers::default(), AtomicBool::new(false));
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         while !work.load(Ordering::Acquire) {
///             sleepers.sleep(None, || work.load(Ordering::Acquire));
///         }
///     });
///     work.store(true, Ordering::Release);
///     sleepers.wake_one();
/// });
/// ```
#[derive(Default)]
pub struct Sleepers {
    beds: Mutex<Vec<Arc<Bed>>>,
    count: AtomicUsize,
}

impl Sleepers {
    /// Sleeps until woken, or for so long; not at all if there is something to do once it can be woken. Look for work
    /// afterwards, whatever the reason.
    pub fn sleep(&self, longest: Option<Duration>, is_something_to_do: impl FnOnce() -> bool) {
        let bed = Arc::new(Bed::new());
        {
            let mut beds = lock(&self.beds);
            beds.push(bed.clone());
            self.count.store(beds.len(), Ordering::Relaxed);
        }
        // Either we see the work, or who made it sees us: see `is_anybody_asleep`.
        fence(Ordering::SeqCst);
        if is_something_to_do() || !bed.sleep(longest) {
            let mut beds = lock(&self.beds);
            beds.retain(|other| !Arc::ptr_eq(other, &bed));
            self.count.store(beds.len(), Ordering::Relaxed);
        }
    }

    /// Whether somebody sleeps who may not have seen what was done before this call.
    pub fn is_anybody_asleep(&self) -> bool {
        fence(Ordering::SeqCst);
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes the one who fell asleep last; false if nobody sleeps.
    pub fn wake_one(&self) -> bool {
        if !self.is_anybody_asleep() {
            return false;
        }
        let mut beds = lock(&self.beds);
        let bed = beds.pop();
        self.count.store(beds.len(), Ordering::Relaxed);
        drop(beds);
        bed.inspect(|bed| bed.wake()).is_some()
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        while self.wake_one() {}
    }
}

impl fmt::Debug for Sleepers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sleepers").field("asleep", &self.count.load(Ordering::Relaxed)).finish()
    }
}

#[cfg(all(test, loom))]
mod loom_model {
    use super::*;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    /// Every order with at most so many preemptions: more take minutes and have never shown more.
    fn model(scenario: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(scenario);
    }

    /// Two pieces of work come while two threads fall asleep: all is done, whoever does it. A lost wake-up is a deadlock.
    #[test]
    fn loom_no_work_is_left_while_all_sleep() {
        model(|| {
            let shared = Arc::new((Sleepers::default(), AtomicUsize::new(0), AtomicUsize::new(2)));
            let hands: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        let (sleepers, work, left) = &*shared;
                        while left.load(Ordering::Acquire) > 0 {
                            let taken =
                                work.fetch_update(Ordering::AcqRel, Ordering::Acquire, |work| work.checked_sub(1));
                            if taken.is_err() {
                                sleepers.sleep(None, || {
                                    work.load(Ordering::Acquire) > 0 || left.load(Ordering::Acquire) == 0
                                });
                            } else if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                                sleepers.wake_all();
                            }
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                shared.1.fetch_add(1, Ordering::Release);
                shared.0.wake_one();
            }
            hands.into_iter().for_each(|hand| hand.join().unwrap());
        });
    }

    /// The word of the end reaches everybody.
    #[test]
    fn loom_the_end_wakes_all() {
        model(|| {
            let shared = Arc::new((Sleepers::default(), AtomicBool::new(false)));
            let hands: Vec<_> = (0..2)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        while !shared.1.load(Ordering::Acquire) {
                            shared.0.sleep(None, || shared.1.load(Ordering::Acquire));
                        }
                    })
                })
                .collect();
            shared.1.store(true, Ordering::Release);
            shared.0.wake_all();
            hands.into_iter().for_each(|hand| hand.join().unwrap());
        });
    }
}
