//! The memory budget, as requests meet it.
//!
//! What a picture is charged with, and when:
//!
//! ```text
//!   body comes ──► its bytes, in steps of 256 KiB ─► header read: is there room for the work? else 503 before the rest is read
//!   body is there ─► + the work, as planned from the header (image::Plan::estimated_bytes: decoder, rasters, encoder, output)
//!                    + the body once more, where a job process works: it looks at a copy
//!   work is done ──► the answer's bytes, until the last of them is sent or the client is gone
//! ```
//!
//! Queued pictures are charged while they are worked at, by [`queued`].

mod budget;
mod queued;

pub(crate) use budget::{Reserved, SharedBudget};
pub(crate) use queued::admit as admit_queued;

use crate::problem::{Code, Problem};
use bytes::Bytes;
use phalanx::memory::Exhausted;
use phalanx::shared::Blob;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Memory is free again when other requests end, which takes well under a second each.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Takes `bytes` out of the budget.
pub(crate) fn reserve(budget: &SharedBudget, bytes: u64) -> Result<Reserved, Problem> {
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

/// Memory charged to the budget that several hold together: a request, and the task that works for it. It is given back
/// when the last of them lets go, so a task whose client is gone keeps its part until it has really stopped.
#[derive(Clone)]
pub(crate) struct Charge(Arc<Mutex<Reserved>>);

impl Charge {
    pub(crate) fn new(reservation: Reserved) -> Charge {
        Charge(Arc::new(Mutex::new(reservation)))
    }

    /// Takes more.
    pub(crate) fn try_grow(&self, bytes: u64) -> Result<(), Exhausted> {
        self.reservation().try_grow(bytes)
    }

    /// Gives back what exceeds `bytes`.
    pub(crate) fn shrink_to(&self, bytes: u64) {
        self.reservation().shrink_to(bytes);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.reservation().bytes()
    }

    fn reservation(&self) -> MutexGuard<'_, Reserved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes and what they are charged to.
struct Charged<B> {
    bytes: B,
    _charge: Charge,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Charged<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// The source of a task: holds the charge until the last handle on it is gone.
pub(crate) fn charged_source(bytes: Vec<u8>, charge: &Charge) -> Blob {
    Blob::from_owner(Charged { bytes, _charge: charge.clone() })
}

/// Bytes that stay charged to the budget until the last of them is sent or dropped: a client that reads slowly holds
/// its part of the budget.
pub(crate) fn charged(blob: Blob, charge: Charge) -> Bytes {
    Bytes::from_owner(Charged { bytes: blob, _charge: charge })
}

#[cfg(test)]
mod tests {
    use super::budget::tests::Pages;
    use super::*;

    fn budget() -> SharedBudget {
        SharedBudget::on(Pages::alone(), 100)
    }

    #[test]
    fn what_never_fits_is_413_and_what_does_not_fit_now_is_503() {
        let budget = budget();
        let _held = reserve(&budget, 60).unwrap();
        assert_eq!(reserve(&budget, 101).unwrap_err().code(), Code::PictureTooLarge);
        assert_eq!(reserve(&budget, 41).unwrap_err().code(), Code::Overloaded);
    }

    #[test]
    fn bytes_are_charged_until_their_last_piece_is_gone() {
        let budget = budget();
        let bytes = charged(vec![7; 60].into(), Charge::new(reserve(&budget, 60).unwrap()));
        let piece = bytes.slice(50..);
        drop(bytes);
        assert_eq!((budget.reserved(), &piece[..2]), (60, &[7, 7][..]));
        drop(piece);
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn a_task_whose_client_is_gone_keeps_its_charge_until_it_ends() {
        let budget = budget();
        let request = Charge::new(reserve(&budget, 60).unwrap());
        let task = charged_source(vec![7; 10], &request);
        drop(request);
        assert_eq!(budget.reserved(), 60);
        drop(task);
        assert_eq!(budget.reserved(), 0);
    }
}
