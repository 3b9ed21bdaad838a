//! [`Admission`]: work that was let in and is not submitted yet.

use std::fmt;
use std::sync::Arc;

use phalanx_thread::line::AdmissionNumber;

use crate::pool::inner::Inner;

/// Work that was let in by [`ProcessPool::admit`](crate::ProcessPool::admit). Drop it right before the task is submitted, or when it
/// will not be.
#[must_use = "work counts as let in only while this lives"]
pub struct Admission {
    inner: Arc<Inner>,
    number: AdmissionNumber,
}

impl Admission {
    pub(super) fn new(inner: Arc<Inner>, number: AdmissionNumber) -> Admission {
        Admission { inner, number }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.inner.lock().state.forget_admitted(self.number);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}
