//! [`Interrupt`]: ends the wait of a blocking end from another thread.

use std::fmt;
use std::sync::Arc;

/// Makes a read or write that waits in another thread come back with an error, now and from now on. A clone is the same.
///
/// A [`BlockingSource`](crate::BlockingSource) or [`BlockingSink`](crate::BlockingSink) that can wait for long gives one;
/// the pipeline uses it when it has failed or was given up.
#[derive(Clone)]
pub struct Interrupt(Arc<dyn Fn() + Send + Sync>);

impl Interrupt {
    /// One that calls this; it may be called often, and must not wait.
    pub fn new(interrupt: impl Fn() + Send + Sync + 'static) -> Interrupt {
        Interrupt(Arc::new(interrupt))
    }

    /// Interrupts.
    pub fn now(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Interrupt")
    }
}
