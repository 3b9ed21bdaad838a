//! When to look: each second, and while requests flow after each hundred of them.

use std::time::{Duration, Instant};

/// From one look to the next when nothing is done.
const AT_REST: Duration = Duration::from_secs(1);

/// Work from one look to the next while it flows: a leak shall be found within 5 000 requests, and that takes some
/// dozens of looks.
const WORK_PER_LOOK: u64 = 100;

/// No sooner, however fast it flows.
const SHORTEST: Duration = Duration::from_millis(5);

/// From one look at the counter of requests to the next: it is only two loads, and then work begins to flow unseen for no
/// longer than this.
const LONGEST_DOZE: Duration = Duration::from_millis(50);

/// Looks take at most 1 % of the time: an interval is at least so many times what the last look cost.
const COSTS_PER_INTERVAL: u32 = 100;

#[derive(Debug)]
pub(super) struct Pace {
    last_at: Instant,
    last_work: u64,
    last_cost: Duration,
    /// What [`WORK_PER_LOOK`] took before the last look; `None` before the first.
    last_stretch: Option<Duration>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { last_at: now, last_work: 0, last_cost: Duration::ZERO, last_stretch: None }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant, work: u64) -> bool {
        let passed = now.saturating_duration_since(self.last_at);
        self.last_stretch.is_none()
            || passed >= self.least().max(AT_REST)
            || (work.saturating_sub(self.last_work) >= WORK_PER_LOOK && passed >= self.least())
    }

    pub(super) fn looked(&mut self, at: Instant, work: u64, cost: Duration) {
        let stretch = self.stretch(at, work).unwrap_or(LONGEST_DOZE);
        *self = Pace { last_at: at, last_work: work, last_cost: cost, last_stretch: Some(stretch) };
    }

    /// How long to sleep until it may be due: as long as the next hundred take, at the rate since the last look.
    pub(super) fn doze(&self, now: Instant, work: u64) -> Duration {
        let passed = now.saturating_duration_since(self.last_at);
        let until_work = match self.stretch(now, work) {
            Some(stretch) => stretch.saturating_sub(passed),
            // Nothing yet: as before, and ever longer if it has ended.
            None => self.last_stretch.unwrap_or(LONGEST_DOZE).max(passed),
        };
        let until_allowed = self.least().saturating_sub(passed);
        let until_rest = AT_REST.saturating_sub(passed);
        until_work.max(until_allowed).min(until_rest).clamp(SHORTEST, LONGEST_DOZE)
    }

    /// What [`WORK_PER_LOOK`] takes at the rate since the last look; `None` if nothing was done.
    fn stretch(&self, now: Instant, work: u64) -> Option<Duration> {
        let done = work.checked_sub(self.last_work).filter(|done| *done > 0)?;
        let passed = now.saturating_duration_since(self.last_at);
        Some(passed.mul_f64(WORK_PER_LOOK as f64 / done as f64))
    }

    fn least(&self) -> Duration {
        SHORTEST.max(self.last_cost.saturating_mul(COSTS_PER_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks while `requests` flow at `rate` a second, each costing `cost`.
    fn looks(requests: u64, rate: u64, cost: Duration) -> u64 {
        let begin = Instant::now();
        let work_at = |now: Instant| (now - begin).as_micros() as u64 * rate / 1_000_000;
        let (mut pace, mut now, mut looks) = (Pace::new(begin), begin, 0);
        while work_at(now) < requests {
            if pace.is_due(now, work_at(now)) {
                let (at, work) = (now, work_at(now));
                now += cost;
                pace.looked(at, work, cost);
                looks += 1;
            }
            now += pace.doze(now, work_at(now));
        }
        looks
    }

    #[test]
    fn five_thousand_requests_give_three_dozen_looks_at_any_rate() {
        for rate in [10, 100, 1_000, 10_000, 20_000] {
            let looks = looks(5_000, rate, Duration::from_micros(20));
            assert!(looks >= 36, "{looks} looks at {rate} a second");
        }
    }

    #[test]
    fn looks_take_at_most_one_per_cent_of_the_time() {
        let cost = Duration::from_millis(30);
        let seconds = 60;
        let looks = looks(10_000 * seconds, 10_000, cost);
        assert!(looks > 15 && cost * u32::try_from(looks).unwrap() <= Duration::from_secs(seconds) / 99, "{looks}");
    }

    #[test]
    fn at_rest_it_looks_each_second_and_sees_a_burst_at_once() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        assert!(pace.is_due(begin, 0));
        pace.looked(begin, 0, Duration::ZERO);
        assert!(!pace.is_due(begin + Duration::from_millis(999), 0));
        assert!(pace.is_due(begin + AT_REST, 0));
        assert_eq!(pace.doze(begin, 0), LONGEST_DOZE);
        assert!(pace.is_due(begin + LONGEST_DOZE, 1_000));
    }
}
