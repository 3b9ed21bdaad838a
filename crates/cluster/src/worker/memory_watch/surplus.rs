//! When free memory goes back to the system: a burst is over, and the allocator keeps much more than is used.
//!
//! Twice it is said that it is over: nothing has been under way for a second; or, where something always is, so much has
//! lain idle for ten.

use std::time::{Duration, Instant};

use phalanx_memory::Heap;

use super::Activity;

/// Idle memory that is not worth the trouble.
const LEAST_BYTES: u64 = 8 << 20;

/// Nothing is under way for so long: the burst is over.
const QUIET: Duration = Duration::from_secs(1);

/// So long something is under way, and all the time a quarter of what the allocator holds was idle: nobody needs that.
const LASTING: Duration = Duration::from_secs(10);
const LASTING_PART: u64 = 4;

/// Giving back takes at most 1 % of the time.
const COSTS_PER_INTERVAL: u32 = 100;

/// What cannot be given back (pages that hold one small block each) is tried again after this, then twice this, …
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Surplus {
    last_work: u64,
    quiet_since: Option<Instant>,
    idle_since: Option<Instant>,
    /// Work when something was given back last: without work since there is nothing new to give.
    work_then: u64,
    not_before: Option<Instant>,
    pause: Duration,
}

impl Surplus {
    /// Takes a look into account; whether it is time to give back.
    pub(super) fn is_due(&mut self, at: Instant, activity: Activity, heap: &Heap) -> bool {
        let quiet = activity.under_way == 0 && activity.work == self.last_work;
        let much = heap.idle() > LEAST_BYTES;
        self.last_work = activity.work;
        keep_since(&mut self.quiet_since, at, quiet);
        keep_since(&mut self.idle_since, at, much && heap.idle() > heap.active / LASTING_PART);
        let lasts = |since: Option<Instant>, long: Duration| since.is_some_and(|since| at - since >= long);
        let over = lasts(self.quiet_since, QUIET) || lasts(self.idle_since, LASTING);
        let allowed = self.not_before.is_none_or(|moment| at >= moment);
        over && much && allowed && activity.work != self.work_then
    }

    /// It was done, and took so long.
    pub(super) fn gave_back(&mut self, at: Instant, cost: Duration, before: &Heap, after: &Heap) {
        let helped = after.idle() < before.idle() / 2;
        self.pause = if helped { Duration::ZERO } else { (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE) };
        self.not_before = Some(at + self.pause.max(cost.saturating_mul(COSTS_PER_INTERVAL)));
        self.work_then = self.last_work;
        self.idle_since = None;
    }
}

fn keep_since(since: &mut Option<Instant>, at: Instant, holds: bool) {
    *since = if holds { since.or(Some(at)) } else { None };
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn heap(allocated: u64, active: u64) -> Heap {
        let mut heap = phalanx_memory::heap().unwrap();
        (heap.allocated, heap.active) = (allocated * MIB, active * MIB);
        heap
    }

    fn activity(work: u64, under_way: u64) -> Activity {
        Activity { work, under_way, load: under_way }
    }

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_burst_that_is_over_for_a_second_gives_back_once() {
        let (mut surplus, begin) = (Surplus::default(), Instant::now());
        let (burst, rest) = (heap(300, 300), heap(20, 300));
        assert!(!surplus.is_due(begin, activity(50, 16), &burst));
        assert!(!surplus.is_due(begin + second(1), activity(50, 0), &rest));
        assert!(surplus.is_due(begin + second(2), activity(50, 0), &rest));
        surplus.gave_back(begin + second(2), Duration::from_millis(20), &rest, &heap(20, 25));
        // Whatever lies idle now: nothing was done since.
        assert!(!surplus.is_due(begin + second(60), activity(50, 0), &rest));
        // The next burst.
        assert!(!surplus.is_due(begin + second(61), activity(90, 0), &rest));
        assert!(!surplus.is_due(begin + second(62), activity(90, 0), &rest));
        assert!(surplus.is_due(begin + second(63), activity(90, 0), &rest));
    }

    #[test]
    fn little_is_not_worth_it_and_what_was_never_used_is_left() {
        let (mut surplus, begin) = (Surplus::default(), Instant::now());
        for number in 0..60 {
            assert!(!surplus.is_due(begin + second(number), activity(5, 0), &heap(20, 27)));
        }
        let mut unused = Surplus::default();
        for number in 0..60 {
            assert!(!unused.is_due(begin + second(number), activity(0, 0), &heap(20, 300)));
        }
    }

    #[test]
    fn a_worker_that_is_never_quiet_gives_back_what_lay_idle_for_ten_seconds() {
        let (mut surplus, begin) = (Surplus::default(), Instant::now());
        let due = (0..60).find(|number| surplus.is_due(begin + second(*number), activity(*number, 1), &heap(20, 300)));
        assert_eq!(due, Some(10));
        // In use every other second: not idle.
        let mut used = Surplus::default();
        for number in 0..60 {
            let heap = if number % 2 == 0 { heap(20, 300) } else { heap(280, 300) };
            assert!(!used.is_due(begin + second(number), activity(number, 1), &heap));
        }
    }

    #[test]
    fn what_does_not_help_is_tried_ever_more_seldom() {
        let (mut surplus, begin) = (Surplus::default(), Instant::now());
        let scattered = heap(20, 300);
        let mut tries = Vec::new();
        for number in 0..400 {
            let at = begin + second(number);
            if surplus.is_due(at, activity(number, 1), &scattered) {
                tries.push(number);
                surplus.gave_back(at, Duration::from_millis(5), &scattered, &scattered);
            }
        }
        let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.len() >= 4 && pauses.windows(2).all(|pair| pair[1] > pair[0]), "{tries:?}");
    }
}
