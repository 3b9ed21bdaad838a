//! A burst may wait long, a standing queue may not.
//!
//! A queue that fills now and then and empties again does its work: it carries a burst. A queue that never empties
//! carries nothing; it only makes every request late. So the limit of the wait depends on which of the two it is (the
//! idea of CoDel, Nichols and Jacobson, "Controlling Queue Delay", ACM Queue 2012): once the predicted wait was above
//! [`standing_wait`](crate::Builder::standing_wait) for [`PATIENCE`], the queue counts as standing, and nothing is taken
//! that would wait longer than that, until a thread is free again.

use std::time::{Duration, Instant};

/// How long a queue may be long before it counts as standing: CoDel's interval.
const PATIENCE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Standing {
    limit_of_burst: Duration,
    limit_when_standing: Duration,
    long_since: Option<Instant>,
    stands: bool,
}

impl Standing {
    pub(crate) fn new(limit_of_burst: Duration, limit_when_standing: Duration) -> Standing {
        let limit_when_standing = limit_when_standing.min(limit_of_burst);
        Standing { limit_of_burst, limit_when_standing, long_since: None, stands: false }
    }

    /// The longest wait that is taken now, when the next job would wait for `predicted`.
    pub(crate) fn limit(&mut self, predicted: Duration, now: Instant) -> Duration {
        if predicted.is_zero() {
            (self.long_since, self.stands) = (None, false);
        } else if predicted > self.limit_when_standing {
            let since = *self.long_since.get_or_insert(now);
            self.stands |= now.saturating_duration_since(since) >= PATIENCE;
        } else if !self.stands {
            self.long_since = None;
        }
        if self.stands { self.limit_when_standing } else { self.limit_of_burst }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_secs(1);
    const STANDING: Duration = Duration::from_millis(150);
    const LONG: Duration = Duration::from_millis(500);
    const SHORT: Duration = Duration::from_millis(50);

    fn after(begin: Instant, millis: u64) -> Instant {
        begin + Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_may_wait_up_to_the_whole_limit() {
        let (mut standing, begin) = (Standing::new(BURST, STANDING), Instant::now());
        for millis in 0..100 {
            assert_eq!(standing.limit(LONG, after(begin, millis)), BURST);
        }
        assert_eq!(standing.limit(SHORT, after(begin, 110)), BURST);
        assert_eq!(standing.limit(LONG, after(begin, 120)), BURST, "the queue was short in between");
    }

    #[test]
    fn a_queue_that_stays_long_stands_until_a_thread_is_free() {
        let (mut standing, begin) = (Standing::new(BURST, STANDING), Instant::now());
        standing.limit(LONG, begin);
        assert_eq!(standing.limit(LONG, after(begin, 100)), STANDING);
        assert_eq!(standing.limit(SHORT, after(begin, 200)), STANDING, "shorter, but it never emptied");
        assert_eq!(standing.limit(Duration::ZERO, after(begin, 300)), BURST);
        assert_eq!(standing.limit(LONG, after(begin, 301)), BURST);
    }

    #[test]
    fn the_limit_of_a_standing_queue_is_never_above_that_of_a_burst() {
        let (mut standing, begin) = (Standing::new(SHORT, STANDING), Instant::now());
        standing.limit(LONG, begin);
        assert_eq!(standing.limit(LONG, after(begin, 1000)), SHORT);
    }
}
