//! [`Claims`]: who a connection belongs to that a dispatcher has offered to a worker: one word each, in memory that both see.
//!
//! ```text
//!   dispatcher: free ─► offered ──── worker: claimed      (it serves; the dispatcher lets go of its copy)
//!                          └──────── dispatcher: revoked  (it goes to another worker; who finds the offer drops it)
//! ```
//!
//! Both changes are one compare-and-swap on the same word, so exactly one of them happens, whoever was stopped, killed or
//! slow: a connection is never served twice, and never by nobody while its worker lives.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use phalanx_shared::Segment;
use serde::{Deserialize, Serialize};

/// Most offers that one worker has not claimed.
pub(crate) const OFFERS: usize = 64;

const OFFERED: u64 = 1;
const CLAIMED: u64 = 2;
const REVOKED: u64 = 3;
const STATE_BITS: u32 = 2;

/// Names one offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ticket {
    /// Which word.
    index: u8,
    /// Never used twice for a worker, also not by different dispatchers.
    serial: u64,
}

/// How an offer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has it yet.
    Open,
    /// The worker has it.
    Claimed,
    /// It is ours again.
    Revoked,
}

#[derive(Debug)]
pub(crate) struct Claims {
    words: Segment,
}

impl Claims {
    pub(crate) fn create() -> io::Result<Claims> {
        Ok(Claims { words: Segment::create("phalanx-claims", OFFERS * size_of::<u64>())? })
    }

    pub(crate) fn open(descriptor: OwnedFd) -> io::Result<Claims> {
        let words = Segment::map(descriptor)?;
        if words.words::<AtomicU64>().len() < OFFERS || !words.is_writable() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the memory for claims is too small or read-only"));
        }
        Ok(Claims { words })
    }

    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.words.descriptor()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }

    /// Dispatcher: makes an offer in this word. `None` if an earlier dispatcher's offer still stands there.
    pub(crate) fn offer(&self, index: usize, serial: u64) -> Option<Ticket> {
        let word = self.words.words::<AtomicU64>().get(index)?;
        let before = word.load(Ordering::Acquire);
        let free = before & ((1 << STATE_BITS) - 1) != OFFERED;
        let offered = serial << STATE_BITS | OFFERED;
        let ticket = Ticket { index: u8::try_from(index).ok()?, serial };
        (free && word.compare_exchange(before, offered, Ordering::AcqRel, Ordering::Relaxed).is_ok()).then_some(ticket)
    }

    /// Worker: takes what was offered. False if it was revoked meanwhile.
    pub(crate) fn claim(&self, ticket: Ticket) -> bool {
        self.decide(ticket, CLAIMED)
    }

    /// Dispatcher: takes back what was offered. False if the worker has claimed it.
    pub(crate) fn revoke(&self, ticket: Ticket) -> bool {
        self.decide(ticket, REVOKED)
    }

    pub(crate) fn fate(&self, ticket: Ticket) -> Fate {
        let word = self.words.words::<AtomicU64>().get(usize::from(ticket.index));
        match word.map(|word| word.load(Ordering::Acquire)) {
            Some(word) if word == ticket.serial << STATE_BITS | OFFERED => Fate::Open,
            Some(word) if word == ticket.serial << STATE_BITS | CLAIMED => Fate::Claimed,
            _ => Fate::Revoked,
        }
    }

    fn decide(&self, ticket: Ticket, state: u64) -> bool {
        let offered = ticket.serial << STATE_BITS | OFFERED;
        let decided = ticket.serial << STATE_BITS | state;
        self.words
            .words::<AtomicU64>()
            .get(usize::from(ticket.index))
            .is_some_and(|word| word.compare_exchange(offered, decided, Ordering::AcqRel, Ordering::Relaxed).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_is_claimed_or_revoked_and_never_both() {
        let dispatcher = Claims::create().unwrap();
        let worker = Claims::open(dispatcher.descriptor().unwrap()).unwrap();
        for serial in 0..20_000 {
            let ticket = dispatcher.offer(3, serial).unwrap();
            let barrier = std::sync::Barrier::new(2);
            if serial > 200 {
                // The others without a race.
                assert!(worker.claim(ticket) && !dispatcher.revoke(ticket));
                continue;
            }
            let (claimed, revoked) = std::thread::scope(|scope| {
                let claiming = scope.spawn(|| {
                    barrier.wait();
                    worker.claim(ticket)
                });
                barrier.wait();
                let revoked = dispatcher.revoke(ticket);
                (claiming.join().unwrap(), revoked)
            });
            assert!(claimed != revoked);
            assert_eq!(dispatcher.fate(ticket), if claimed { Fate::Claimed } else { Fate::Revoked });
        }
    }

    #[test]
    fn a_stale_ticket_claims_nothing() {
        let claims = Claims::create().unwrap();
        let old = claims.offer(0, 7).unwrap();
        assert!(claims.revoke(old));
        let new = claims.offer(0, 8).unwrap();
        assert!(!claims.claim(old));
        assert!(claims.claim(new));
    }

    #[test]
    fn an_offer_of_a_dead_dispatcher_stands_until_it_is_claimed() {
        let claims = Claims::create().unwrap();
        let old = claims.offer(0, 7).unwrap();
        assert_eq!(claims.offer(0, 1 << 40), None);
        assert!(claims.claim(old));
        assert!(claims.offer(0, 1 << 40).is_some());
    }

    #[test]
    fn a_ticket_that_makes_no_sense_is_refused() {
        let claims = Claims::create().unwrap();
        assert!(!claims.claim(Ticket { index: 255, serial: 1 }));
        assert_eq!(claims.fate(Ticket { index: 255, serial: 1 }), Fate::Revoked);
    }
}
