//! [`AbortHandle`]: ends a pipeline from outside.

use std::fmt;
use std::sync::Weak;

use crate::Error;
use crate::run::Run;

/// Ends a pipeline from outside, from any thread; a clone is the same. Made by
/// [`Pipeline::abort_handle`](crate::Pipeline::abort_handle).
#[derive(Clone)]
pub struct AbortHandle {
    run: Weak<Run>,
}

impl AbortHandle {
    pub(crate) fn new(run: Weak<Run>) -> AbortHandle {
        AbortHandle { run }
    }

    /// Ends the pipeline with [`Error::Aborted`], unless it has ended already: then nothing happens. Every part is told,
    /// so that nothing half done is left.
    pub fn abort(&self, reason: impl Into<String>) {
        self.fail(Error::aborted(reason));
    }

    /// Ends the pipeline with this error, unless it has ended already.
    pub(crate) fn fail(&self, error: Error) {
        if let Some(run) = self.run.upgrade() {
            run.fail(error);
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AbortHandle")
    }
}
