//! How the connections of a worker come to their end when it leaves.
//!
//! A worker that leaves **alone** (reload, recycling, scaling down) must not send all its clients to its siblings at
//! once. Each connection gets two moments of its own within a window of 10 s, or of a third of the drain deadline if
//! that is shorter:
//!
//! ```text
//!   0 ────────────────────── half ─────────────────────── window ───────────── drain deadline
//!   │ from its first moment   │ from its second moment on,  │ whatever is still  │ upgraded connections
//!   │ on, its next answer     │ it is closed if it is idle  │ under way finishes │ and the rest are closed
//!   │ says "close" (GOAWAY)   │                             │                    │
//! ```
//!
//! So a client that uses its connection at least once in half a window always hears of the end with an answer, and
//! never meets the race between its next request and our close. A connection that was opened and never used is closed
//! like an idle one. A WebSocket is told at its first moment ([`Peer::leaving`](crate::Peer::leaving)).
//!
//! When **all** leave (the cluster stops, or the primary is gone) there is nobody to spread the clients over: idle
//! connections are closed at once, and every answer says "close".

use std::time::{Duration, Instant};

use super::mark::Order;
use crate::lifeline::Life;

/// Longest time over which the ends of connections are spread. (HAProxy leaves `close-spread-time` to the operator.)
const LONGEST_WINDOW: Duration = Duration::from_secs(10);

/// Part of the drain deadline that the window takes at most: what begins late must have time to finish.
const PART_OF_DEADLINE: u32 = 3;

/// When the connections of a leaving worker end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// The worker goes alone: one after the other.
    Spread { began: Instant, window: Duration },
    /// All workers go.
    AtOnce,
}

impl Drain {
    /// How the connections end in this state of life; `None` while the worker serves.
    pub(super) fn of(life: Life, now: Instant) -> Option<Drain> {
        match life {
            Life::Serving => None,
            Life::Leaving { with_all: false, until } => {
                let window = LONGEST_WINDOW.min(until.saturating_duration_since(now) / PART_OF_DEADLINE);
                Some(Drain::Spread { began: now, window })
            }
            Life::Leaving { with_all: true, .. } | Life::Orphaned { .. } => Some(Drain::AtOnce),
        }
    }

    /// What a connection with this share of the window is told now.
    pub(super) fn order(self, share: f32, now: Instant) -> Order {
        match self {
            Drain::AtOnce => Order::Finish,
            Drain::Spread { began, window } => {
                let half = window / 2;
                let first = half.mul_f32(share);
                let passed = now.saturating_duration_since(began);
                if passed >= half + first {
                    Order::Finish
                } else if passed >= first {
                    Order::Announce
                } else {
                    Order::Serve
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(with_all: bool, within: Duration, now: Instant) -> Drain {
        Drain::of(Life::Leaving { with_all, until: now + within }, now).unwrap()
    }

    #[test]
    fn a_worker_that_leaves_alone_takes_a_third_of_the_deadline_and_ten_seconds_at_most() {
        let now = Instant::now();
        for (deadline, expected) in [(3, 1), (15, 5), (30, 10), (600, 10)] {
            let drain = leaving(false, Duration::from_secs(deadline), now);
            assert_eq!(drain, Drain::Spread { began: now, window: Duration::from_secs(expected) });
        }
    }

    #[test]
    fn a_connection_hears_of_the_end_half_a_window_before_it_is_closed_idle() {
        let now = Instant::now();
        let drain = leaving(false, Duration::from_secs(30), now);
        let at = |millis| drain.order(0.5, now + Duration::from_millis(millis));
        let orders = [at(2499), at(2500), at(7499), at(7500)];
        assert_eq!(orders, [Order::Serve, Order::Announce, Order::Announce, Order::Finish]);
        assert_eq!(drain.order(0.999, now + Duration::from_secs(10)), Order::Finish, "by the end of the window, all");
    }

    #[test]
    fn when_all_leave_nothing_waits() {
        let now = Instant::now();
        assert_eq!(leaving(true, Duration::from_secs(30), now).order(0.9, now), Order::Finish);
        assert_eq!(Drain::of(Life::Orphaned { until: now }, now), Some(Drain::AtOnce));
        assert_eq!(Drain::of(Life::Serving, now), None);
    }
}
