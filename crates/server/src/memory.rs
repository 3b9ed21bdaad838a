//! The memory budget, as requests meet it.

use crate::problem::{Code, Problem};
use bytes::Bytes;
use phalanx::memory::{Budget, Exhausted, Reservation};
use std::time::Duration;

/// Memory is free again when other requests end, which takes well under a second each.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes `bytes` out of the budget.
pub(crate) fn reserve(budget: &Budget, bytes: u64) -> Result<Reservation, Problem> {
    budget.try_reserve(bytes).map_err(|exhausted| refused(&exhausted))
}

/// 413 if the request can never fit, 503 if it may fit later.
pub(crate) fn refused(exhausted: &Exhausted) -> Problem {
    match exhausted.never_fits() {
        true => Problem::new(
            Code::PictureTooLarge,
            format!(
                "the picture needs about {} bytes of memory, and there are {} for all pictures; send a smaller one",
                exhausted.wanted, exhausted.limit
            ),
        )
        .limit(exhausted.limit, "bytes of memory"),
        false => Problem::new(
            Code::Overloaded,
            "the memory for pictures is taken by other requests; try again when they have ended",
        )
        .retry_after(RETRY_AFTER),
    }
}

/// Bytes that stay charged to the budget until the last of them is sent or dropped: a client that reads slowly holds
/// its part of the budget.
pub(crate) fn charged(bytes: Vec<u8>, reservation: Reservation) -> Bytes {
    struct Charged {
        bytes: Vec<u8>,
        _reservation: Reservation,
    }
    impl AsRef<[u8]> for Charged {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Charged { bytes, _reservation: reservation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_fits_is_413_and_what_does_not_fit_now_is_503() {
        let budget = Budget::new(100);
        let _held = reserve(&budget, 60).unwrap();
        assert_eq!(reserve(&budget, 101).unwrap_err().code(), Code::PictureTooLarge);
        assert_eq!(reserve(&budget, 41).unwrap_err().code(), Code::Overloaded);
    }

    #[test]
    fn bytes_are_charged_until_their_last_piece_is_gone() {
        let budget = Budget::new(100);
        let bytes = charged(vec![7; 60], reserve(&budget, 60).unwrap());
        let piece = bytes.slice(50..);
        drop(bytes);
        assert_eq!((budget.free(), &piece[..2]), (40, &[7, 7][..]));
        drop(piece);
        assert_eq!(budget.free(), 100);
    }
}
