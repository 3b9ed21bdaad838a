//! [`Options`] of a hall.

use std::time::Duration;

use crate::Distribution;

/// What happens to a connection whose worker died after it had confirmed the descriptor and before it had answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unanswered {
    /// It is closed, so that the client sees an error at once: the dead worker may have read or written something.
    #[default]
    Close,
    /// Another worker gets it: for protocols in which nothing is lost by that.
    Redispatch,
}

/// How a hall behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How connections come to the workers.
    pub(crate) distribution: Distribution,
    /// Most connections that a worker was handed and has not answered.
    pub(crate) in_flight: usize,
    /// How long a socket stays open when the last worker of it has died: its successor finds it, and what waits in it.
    pub(crate) linger: Duration,
    /// What becomes of a connection that a dead worker may have touched.
    pub(crate) unanswered: Unanswered,
}

impl Options {
    /// The defaults for this distribution.
    pub(crate) fn new(distribution: Distribution) -> Options {
        Options { distribution, in_flight: 8, linger: Duration::from_secs(5), unanswered: Unanswered::Close }
    }
}
