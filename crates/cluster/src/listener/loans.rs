//! Who accepts from the socket of a place without a worker.
//!
//! With `SO_REUSEPORT` the kernel goes on giving connections to the socket of a place whose worker is gone. Closing the
//! socket would lose them (and those that are being opened), so it is lent to another worker until the place has its own
//! again: after a crash for the milliseconds of a start, after a scale-down for good.

use std::collections::BTreeMap;

use crate::{Place, WorkerId};

/// Which workers accept, and who has borrowed what. Pure: what it says is done by the primary.
#[derive(Debug, Default)]
pub(crate) struct Loans {
    serving: BTreeMap<WorkerId, Place>,
    borrowers: BTreeMap<Place, WorkerId>,
}

/// What a worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoanWord {
    /// Accept from the sockets of this place as well.
    Borrow(WorkerId, Place),
    /// The place has its own worker again.
    Return(WorkerId, Place),
}

impl Loans {
    /// A worker accepts connections from now on.
    pub(crate) fn serves(&mut self, worker: WorkerId, place: Place, places: usize) -> Vec<LoanWord> {
        self.serving.insert(worker, place);
        self.settle(places)
    }

    /// A worker accepts none any more, or is gone.
    pub(crate) fn left(&mut self, worker: WorkerId, places: usize) -> Vec<LoanWord> {
        self.serving.remove(&worker);
        // Who is gone returns nothing, and who leaves has stopped to accept.
        self.borrowers.retain(|_, borrower| *borrower != worker);
        self.settle(places)
    }

    fn settle(&mut self, places: usize) -> Vec<LoanWord> {
        let mut words = Vec::new();
        for index in 0..places {
            let Ok(place) = u16::try_from(index).map(Place) else { break };
            let has_own = self.serving.values().any(|its| *its == place);
            match self.borrowers.get(&place) {
                Some(borrower) if has_own => {
                    words.push(LoanWord::Return(*borrower, place));
                    self.borrowers.remove(&place);
                }
                None if !has_own => {
                    let loans = |worker: WorkerId| self.borrowers.values().filter(|its| **its == worker).count();
                    // The newest of those with the fewest: an older one of the same place is about to leave.
                    let chosen = self.serving.keys().copied().rev().min_by_key(|worker| loans(*worker));
                    if let Some(worker) = chosen {
                        self.borrowers.insert(place, worker);
                        words.push(LoanWord::Borrow(worker, place));
                    }
                }
                _ => {}
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(number: u32) -> WorkerId {
        WorkerId::new(number)
    }

    #[test]
    fn every_place_has_somebody_as_long_as_anybody_serves() {
        let mut loans = Loans::default();
        assert_eq!(
            loans.serves(worker(1), Place(0), 3),
            [LoanWord::Borrow(worker(1), Place(1)), LoanWord::Borrow(worker(1), Place(2))]
        );
        assert_eq!(loans.serves(worker(2), Place(1), 3), [LoanWord::Return(worker(1), Place(1))]);
        assert_eq!(loans.serves(worker(3), Place(2), 3), [LoanWord::Return(worker(1), Place(2))]);
        // A crash: its place and what it had borrowed go to others.
        assert_eq!(loans.left(worker(2), 3), [LoanWord::Borrow(worker(3), Place(1))]);
        assert_eq!(
            loans.left(worker(3), 3),
            [LoanWord::Borrow(worker(1), Place(1)), LoanWord::Borrow(worker(1), Place(2))]
        );
        assert_eq!(loans.left(worker(1), 3), []);
        assert_eq!(loans.serves(worker(4), Place(0), 3).len(), 2);
    }

    #[test]
    fn a_successor_needs_no_loan() {
        let mut loans = Loans::default();
        loans.serves(worker(1), Place(0), 1);
        assert_eq!(loans.serves(worker(2), Place(0), 1), []);
        assert_eq!(loans.left(worker(1), 1), []);
    }

    #[test]
    fn loans_are_spread() {
        let mut loans = Loans::default();
        loans.serves(worker(1), Place(0), 2);
        loans.serves(worker(2), Place(1), 2);
        let words = loans.serves(worker(2), Place(1), 6);
        let of_first =
            words.iter().filter(|word| matches!(word, LoanWord::Borrow(its, _) if *its == worker(1))).count();
        assert_eq!((words.len(), of_first), (4, 2));
    }
}
