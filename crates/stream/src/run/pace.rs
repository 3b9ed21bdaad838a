//! [`Handful`]: how many items a step takes before it lets others see what it gave.

use std::time::{Duration, Instant};

/// A step of a part with small items goes on this long, about: much longer than a round trip through a lock, much
/// shorter than anybody would notice.
pub(crate) const STEP_TIME: Duration = Duration::from_micros(50);

/// Counts the items of one step; the clock is read after the first, second, fourth, eighth, …
pub(crate) struct Handful {
    since: Instant,
    items: usize,
    most: usize,
}

impl Handful {
    pub(crate) fn new(since: Instant, most: usize) -> Handful {
        Handful { since, items: 0, most }
    }

    /// After an item: whether it is enough.
    pub(crate) fn is_enough(&mut self) -> bool {
        self.items += 1;
        self.items >= self.most || (self.items.is_power_of_two() && self.since.elapsed() >= STEP_TIME)
    }
}
