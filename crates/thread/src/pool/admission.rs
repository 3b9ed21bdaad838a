//! [`Admission`]: work that was let in and is not submitted yet, such as a request whose body is still being read.
//!
//! Without it, everybody who asks during that time gets the same good answer, all read their bodies, and most are
//! refused afterwards. So what was let in counts as waiting, but not for long: a client that takes its time must not
//! keep others out.

use std::fmt;
use std::sync::Arc;

use crate::line::AdmissionNumber;
use crate::pool::core::Core;

/// Work that was let in by [`ThreadPool::admit`](crate::ThreadPool::admit). Drop it right before the work is submitted,
/// or when it will not be.
#[must_use = "work counts as let in only while this lives"]
pub struct Admission {
    core: Arc<Core>,
    number: AdmissionNumber,
}

impl Admission {
    pub(crate) fn new(core: Arc<Core>, number: AdmissionNumber) -> Admission {
        Admission { core, number }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("number", &self.number.0).finish_non_exhaustive()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.core.dispatcher.forget_admitted(self.number);
    }
}
