//! How many threads there are, what they are at, and when another one is started.
//!
//! ```text
//!   vacant ──hire──► starting ──ready──► searching ◄──► sleeping ──idle for too long──► vacant
//!     ▲                 │ ▲                  │  ▲
//!     └───cannot start──┘ └─ init: again ─┘  └──┴── running
//! ```
//!
//! **Growth:** when jobs wait, nobody searches or sleeps, and fewer threads are starting or between two jobs than
//! jobs wait. **Shrinking:**
//! a thread that nobody woke for the idle time ends, unless it is one of the least number. Since the thread that slept
//! last is woken first, the others are those that are not needed.
//!
//! **Threads that cannot start** (the system gives none, or `init` fails): `init` is tried again in a new thread after
//! 10, 20, 40, 80 ms; after [`FAILURES_IN_A_ROW`] no thread is started for [`BAR`]. If no other is left, those who wait
//! are told why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::checked::Bed;

/// After so many failures in a row, of whichever threads, the next is not tried at once.
const FAILURES_IN_A_ROW: u32 = 5;
/// The wait before the second try; doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_millis(10);
/// For so long no thread is started after that.
const BAR: Duration = Duration::from_secs(1);

/// How many threads a pool may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// How long a thread beyond the least number may idle.
    pub(crate) idle_timeout: Duration,
}

impl Size {
    #[cfg(test)]
    pub(crate) fn fixed(threads: usize) -> Size {
        Size { least: threads, most: threads, idle_timeout: Duration::MAX }
    }

    /// How long a thread sleeps before it looks whether it is one too many.
    pub(crate) fn longest_sleep(self) -> Option<Duration> {
        (self.least < self.most).then_some(self.idle_timeout)
    }
}

pub(crate) struct Staff {
    pub(crate) size: Size,
    /// Threads that were started and have not ended.
    alive: usize,
    /// Those of them that are not ready yet.
    starting: usize,
    /// Those of them that take no more jobs.
    leaving: usize,
    /// Threads that look for work: spinning, or woken and on their way.
    pub(crate) searching: usize,
    sleepers: Vec<Arc<Bed>>,
    /// Numbers of threads that are free, the lowest last.
    vacant: Vec<usize>,
    failures_in_a_row: u32,
    failures: u64,
    barred_until: Option<Instant>,
    trouble: Option<Arc<str>>,
    lived: Duration,
    counted_until: Instant,
}

impl Staff {
    pub(crate) fn new(size: Size) -> Staff {
        Staff {
            size,
            alive: 0,
            starting: 0,
            leaving: 0,
            searching: 0,
            sleepers: Vec::new(),
            vacant: (0..size.most).rev().collect(),
            failures_in_a_row: 0,
            failures: 0,
            barred_until: None,
            trouble: None,
            lived: Duration::ZERO,
            counted_until: Instant::now(),
        }
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive
    }

    /// Threads that take jobs, or will.
    pub(crate) fn staying(&self) -> usize {
        self.alive - self.leaving
    }

    /// Whether there are all threads that there may be, and none looks for work or sleeps.
    pub(crate) fn are_all_busy(&self) -> bool {
        self.searching == 0 && self.sleepers.is_empty() && self.staying() == self.size.most
    }

    /// How many threads work when there is work for all.
    pub(crate) fn strength(&self) -> usize {
        if self.barred_until.is_some() { self.staying().max(1) } else { self.size.most }
    }

    /// Why there is no thread and none can be started now.
    pub(crate) fn trouble(&self) -> Option<&Arc<str>> {
        let barred = self.barred_until.is_some_and(|until| Instant::now() < until);
        self.trouble.as_ref().filter(|_| self.staying() == 0 && barred)
    }

    /// Failed starts since the pool was built, and the last reason.
    pub(crate) fn failures(&self) -> (u64, Option<Arc<str>>) {
        (self.failures, self.trouble.clone())
    }

    /// Time for which all threads together have existed.
    pub(crate) fn lived(&self) -> Duration {
        self.lived.saturating_add(self.since_counted(Instant::now()))
    }

    /// A number for one more thread, if there may be one; it counts as starting.
    pub(crate) fn hire(&mut self) -> Option<usize> {
        if self.barred_until.is_some() {
            if self.barred_until.is_some_and(|until| Instant::now() < until) {
                return None;
            }
            self.barred_until = None;
        }
        let slot = self.vacant.pop()?;
        self.count_life();
        self.alive += 1;
        self.starting += 1;
        Some(slot)
    }

    /// Whether so many jobs want more threads than those that will look by themselves: that start, or have just finished
    /// one of the jobs that `running` no longer counts.
    pub(crate) fn too_few_come_for(&self, jobs: usize, running: usize) -> bool {
        let engaged = running + self.searching + self.sleepers.len();
        self.staying().saturating_sub(engaged) < jobs
    }

    pub(crate) fn is_ready(&mut self) {
        self.starting -= 1;
        self.failures_in_a_row = 0;
        self.trouble = None;
        self.barred_until = None;
    }

    /// A thread starts anew.
    pub(crate) fn is_starting_again(&mut self) {
        self.starting += 1;
    }

    /// A starting thread is not ready: how long to wait before the next try in its place. `None` if it is not tried
    /// again; then it has ended.
    pub(crate) fn init_failed(&mut self, slot: usize, why: Arc<str>) -> Option<Duration> {
        let before = self.failures_in_a_row;
        if before + 1 >= FAILURES_IN_A_ROW {
            self.cannot_start(slot, why);
            return None;
        }
        self.failures_in_a_row += 1;
        self.failures += 1;
        self.trouble = Some(why);
        Some(FIRST_RETRY * (1 << before))
    }

    /// A starting thread will never be ready, and for some time none is tried.
    pub(crate) fn cannot_start(&mut self, slot: usize, why: Arc<str>) {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failures += 1;
        self.trouble = Some(why);
        self.barred_until = Instant::now().checked_add(BAR);
        self.starting -= 1;
        self.is_leaving();
        self.has_ended(slot);
    }

    /// A thread will take no more jobs.
    pub(crate) fn is_leaving(&mut self) {
        self.leaving += 1;
    }

    /// A thread that was leaving has let go of all that it had.
    pub(crate) fn has_ended(&mut self, slot: usize) {
        self.count_life();
        self.alive -= 1;
        self.leaving -= 1;
        self.vacant.push(slot);
    }

    /// Whether a thread that idled for long is one too many.
    pub(crate) fn is_one_too_many(&self) -> bool {
        self.staying() > self.size.least
    }

    pub(crate) fn lies_down(&mut self, bed: &Arc<Bed>) {
        self.searching -= 1;
        self.sleepers.push(bed.clone());
    }

    /// Gets up unwoken, to search; false if somebody is waking it just now, and has counted it as searching.
    pub(crate) fn gets_up(&mut self, bed: &Arc<Bed>) -> bool {
        let place = self.sleepers.iter().position(|other| Arc::ptr_eq(other, bed));
        if let Some(place) = place {
            self.sleepers.remove(place);
            self.searching += 1;
        }
        place.is_some()
    }

    /// A sleeper to be woken; it counts as searching from now on. The one that slept last: its stack and caches are the
    /// warmest.
    pub(crate) fn rouse(&mut self) -> Option<Arc<Bed>> {
        let bed = self.sleepers.pop()?;
        self.searching += 1;
        Some(bed)
    }

    fn count_life(&mut self) {
        let now = Instant::now();
        self.lived = self.lived.saturating_add(self.since_counted(now));
        self.counted_until = now;
    }

    fn since_counted(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.counted_until).saturating_mul(u32::try_from(self.alive).unwrap_or(u32::MAX))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn init_is_tried_again_at_growing_distances_and_then_not_at_once() {
        let mut staff = Staff::new(Size::fixed(2));
        let slot = staff.hire().unwrap();
        let waits: Vec<_> = std::iter::from_fn(|| staff.init_failed(slot, "no model".into())).collect();
        assert_eq!(waits, [10, 20, 40, 80].map(Duration::from_millis));
        assert_eq!((staff.alive(), staff.hire(), staff.strength()), (0, None, 1));
        assert_eq!(staff.trouble().map(|why| &**why), Some("no model"));
        assert_eq!(staff.failures().0, 5);
    }

    #[test]
    fn one_success_forgets_the_failures() {
        let mut staff = Staff::new(Size::fixed(2));
        let slot = staff.hire().unwrap();
        (0..4).for_each(|_| assert!(staff.init_failed(slot, "busy".into()).is_some()));
        staff.is_ready();
        let other = staff.hire().unwrap();
        assert_eq!(staff.init_failed(other, "busy".into()), Some(FIRST_RETRY));
        assert_eq!(staff.trouble(), None, "one thread lives");
    }

    #[test]
    fn numbers_are_used_again_the_lowest_first() {
        let mut staff = Staff::new(Size::fixed(3));
        let slots: Vec<_> = std::iter::from_fn(|| staff.hire()).collect();
        assert_eq!(slots, [0, 1, 2]);
        (0..3).for_each(|_| staff.is_ready());
        staff.is_leaving();
        assert_eq!((staff.alive(), staff.staying(), staff.hire()), (3, 2, None), "its number is not free yet");
        staff.has_ended(1);
        assert_eq!((staff.hire(), staff.hire()), (Some(1), None));
    }
}
