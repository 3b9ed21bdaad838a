//! [`Options`] of a hall.

use std::time::Duration;

use crate::Distribution;

/// So many connections on their way keep a worker busy, and a burst of twice as many is dealt out evenly to two.
const IN_FLIGHT: usize = 64;
/// Connections that may wait for the one worker to which their client sticks. When there are more, they go to another.
const WAITING_FOR_ONE: usize = 64;
/// A worker that owes an answer for so long is busy, or hangs: it gets no more until it has answered.
const SLOW: Duration = Duration::from_millis(10);
/// As long as a cluster without workers keeps its sockets open.
const LINGER: Duration = Duration::from_secs(5);

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
    /// Most connections that are on their way to a worker.
    pub(crate) in_flight: usize,
    /// How long a socket stays open when the last worker of it has died: its successor finds it, and what waits in it.
    pub(crate) linger: Duration,
    /// What becomes of a connection that a dead worker may have touched.
    pub(crate) unanswered: Unanswered,
}

impl Options {
    /// The defaults for this distribution.
    pub(crate) fn new(distribution: Distribution) -> Options {
        Options { distribution, in_flight: IN_FLIGHT, linger: LINGER, unanswered: Unanswered::Close }
    }

    /// Most connections that a worker was handed, or that wait for it alone.
    pub(super) fn most_offers(&self) -> usize {
        match self.distribution {
            Distribution::Sticky => self.in_flight.max(WAITING_FOR_ONE),
            _ => self.in_flight,
        }
    }

    /// From when on a worker that owes an answer gets nothing more. Never, if nobody else may have its clients.
    pub(super) fn slow(&self) -> Option<Duration> {
        (self.distribution != Distribution::Sticky).then_some(SLOW)
    }
}
