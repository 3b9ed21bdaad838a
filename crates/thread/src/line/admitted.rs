//! Work that was let in and is not submitted yet: it counts as waiting, but not for long.

use std::time::{Duration, Instant};

/// For how long work that was let in counts as waiting before it is submitted: a body of some megabytes from a client
/// on a good connection.
const COUNTED_FOR: Duration = Duration::from_millis(250);

/// What was let in and is not submitted yet.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    /// In the order of their ends. At most as many as connections: each is held by somebody.
    entries: Vec<(u64, Instant, u64)>,
    next: u64,
}

impl Admitted {
    pub(crate) fn add(&mut self, cost: u64, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.entries.push((number, now + COUNTED_FOR, cost));
        number
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.entries.retain(|(its, ..)| *its != number);
    }

    /// How many still count, and what they cost together.
    pub(crate) fn sum(&mut self, now: Instant) -> (usize, u64) {
        if self.entries.is_empty() {
            return (0, 0);
        }
        self.entries.retain(|(_, until, _)| *until > now);
        (self.entries.len(), self.entries.iter().fold(0, |sum, (.., cost)| sum.saturating_add(*cost)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_let_in_counts_until_it_is_submitted_or_took_too_long() {
        let (mut admitted, now) = (Admitted::default(), Instant::now());
        let first = admitted.add(5, now);
        let _second = admitted.add(7, now + COUNTED_FOR / 2);
        assert_eq!(admitted.sum(now), (2, 12));
        admitted.remove(first);
        assert_eq!(admitted.sum(now), (1, 7));
        assert_eq!(admitted.sum(now + COUNTED_FOR * 2), (0, 0));
    }
}
