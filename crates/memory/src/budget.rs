//! [`Budget`]: a number of bytes that all of a process's work together may use.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::account::{Count, register};

/// A shared budget of bytes: reserve before you allocate, refuse the work if that fails.
///
/// Cheap to clone; clones share the budget. It counts promises, it does not watch the allocator.
///
/// ```
/// use phalanx_memory::Budget;
///
/// let budget = Budget::new(100);
/// let upload = budget.try_reserve(70).unwrap();
/// let refused = budget.try_reserve(40).unwrap_err();
/// assert_eq!((refused.wanted, refused.free, refused.limit), (40, 30, 100));
/// drop(upload);
/// assert_eq!(budget.free(), 100);
/// ```
#[derive(Debug, Clone)]
pub struct Budget {
    limit: u64,
    count: Arc<Count>,
}

impl Budget {
    /// A budget of `bytes`, all free.
    pub fn new(bytes: u64) -> Budget {
        Budget { limit: bytes, count: Arc::new(Count::new(Some(bytes))) }
    }

    /// A budget of `bytes` that [`accounts`](crate::accounts) lists under `name` as long as it lives.
    ///
    /// ```
    /// use phalanx_memory::{Budget, accounts};
    ///
    /// let pictures = Budget::named("pictures", 1000);
    /// let _upload = pictures.try_reserve(70).unwrap();
    /// let line = accounts().into_iter().find(|line| line.name == "pictures").unwrap();
    /// assert_eq!((line.used, line.peak, line.limit), (70, 70, Some(1000)));
    /// ```
    pub fn named(name: &'static str, bytes: u64) -> Budget {
        let budget = Budget::new(bytes);
        register(name, &budget.count);
        budget
    }

    /// Takes `bytes` out of the budget until the reservation is dropped; fails at once if they are not free.
    pub fn try_reserve(&self, bytes: u64) -> Result<Reservation, Exhausted> {
        self.take(bytes)?;
        Ok(Reservation { budget: self.clone(), bytes })
    }

    /// Bytes reserved now.
    pub fn reserved(&self) -> u64 {
        self.count.used.load(Ordering::Relaxed)
    }

    /// Bytes free now.
    pub fn free(&self) -> u64 {
        self.limit - self.reserved()
    }

    /// Bytes in all.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Most bytes that were ever reserved at once.
    pub fn peak(&self) -> u64 {
        self.count.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        let limit = self.limit;
        // Relaxed: the count guards no other memory.
        self.count
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |reserved| {
                reserved.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .map(|reserved| self.count.raise_peak(reserved + bytes))
            .map_err(|reserved| Exhausted { wanted: bytes, free: limit - reserved, limit })
    }

    fn give_back(&self, bytes: u64) {
        self.count.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes taken out of a [`Budget`]; dropping it gives them back.
#[derive(Debug)]
#[must_use = "the bytes are free again as soon as the reservation is dropped"]
pub struct Reservation {
    budget: Budget,
    bytes: u64,
}

impl Reservation {
    /// How many bytes are reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reserves `more` bytes in addition, or changes nothing.
    pub fn try_grow(&mut self, more: u64) -> Result<(), Exhausted> {
        self.budget.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Gives back what exceeds `bytes`, once it is known that so much is enough.
    pub fn shrink_to(&mut self, bytes: u64) {
        let excess = self.bytes.saturating_sub(bytes);
        self.bytes -= excess;
        self.budget.give_back(excess);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// The budget has not as many bytes free as were wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// Bytes that were asked for.
    pub wanted: u64,
    /// Bytes that were free.
    pub free: u64,
    /// Bytes of the whole budget.
    pub limit: u64,
}

impl Exhausted {
    /// Whether waiting cannot help: more was wanted than there is in all.
    pub fn never_fits(&self) -> bool {
        self.wanted > self.limit
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exhausted { wanted, free, limit } = self;
        write!(f, "cannot reserve {wanted} bytes of memory: {free} of {limit} are free; ")?;
        f.write_str(if self.never_fits() {
            "send less or raise the budget"
        } else {
            "try again when other work has ended"
        })
    }
}

impl std::error::Error for Exhausted {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_is_reserved_than_there_is_and_all_comes_back() {
        const LIMIT: u64 = 100;
        let budget = Budget::new(LIMIT);
        std::thread::scope(|scope| {
            for thread in 1..=4 {
                let budget = &budget;
                scope.spawn(move || {
                    for round in 0..5_000 {
                        let _kept = budget.try_reserve(thread * 7 + round % 11);
                        assert!(budget.reserved() <= LIMIT);
                    }
                });
            }
        });
        assert_eq!(budget.free(), LIMIT);
    }

    #[test]
    fn a_refusal_says_how_much_is_free_and_whether_waiting_helps() {
        let budget = Budget::new(10);
        let _kept = budget.try_reserve(4).unwrap();
        let refused = budget.try_reserve(7).unwrap_err();
        assert_eq!(refused, Exhausted { wanted: 7, free: 6, limit: 10 });
        assert!(!refused.never_fits());
        assert!(budget.try_reserve(11).unwrap_err().never_fits());
        assert!(budget.try_reserve(u64::MAX).is_err());
    }

    #[test]
    fn a_reservation_grows_and_shrinks() {
        let budget = Budget::new(10);
        let mut reservation = budget.try_reserve(4).unwrap();
        reservation.try_grow(6).unwrap();
        assert!(reservation.try_grow(1).is_err());
        assert_eq!((reservation.bytes(), budget.free()), (10, 0));
        reservation.shrink_to(3);
        reservation.shrink_to(5);
        assert_eq!((reservation.bytes(), budget.free(), budget.peak()), (3, 7, 10));
        drop(reservation);
        assert_eq!(budget.free(), 10);
    }

    #[test]
    fn nothing_is_always_free() {
        assert!(Budget::new(0).try_reserve(0).is_ok());
    }
}
