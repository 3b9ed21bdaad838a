//! [`Capability`]: what some brokers can do and others cannot.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that not every broker does. Asked of one that does not, it is [`Error::Unsupported`](crate::Error::Unsupported): never
/// an approximation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Capability {
    /// A queue refuses messages when it holds its limit.
    Bound,
    /// Messages that are rejected, or delivered too often, go to another queue.
    DeadLetter,
    /// A delivery can be put back for later.
    Delay,
    /// Messages of higher priority go first.
    Priority,
    /// The number of waiting messages.
    Stats,
    /// Looking at waiting messages without taking them.
    Peek,
    /// All waiting messages can be thrown away.
    Purge,
    /// A job is looked up by its id, with its state and progress.
    Status,
    /// The result of a job comes back to whoever submitted it, as long as it lives.
    Reply,
    /// Results are kept, for anybody who has the id.
    Results,
    /// A second job of the same key is refused.
    Unique,
    /// A waiting or running job can be cancelled.
    Cancel,
    /// Jobs that begin later, at a time or by a cron line.
    Schedule,
    /// Limits of rate and concurrency for a kind of job.
    Limits,
    /// Queues and kinds can be paused.
    Pause,
    /// Split → map → gather.
    Flow,
    /// A late worker's result is refused.
    Fencing,
    /// What a running job said of its state is given to the next attempt.
    Details,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Capability::Bound => "bounding a queue",
            Capability::DeadLetter => "dead letters",
            Capability::Delay => "delayed delivery",
            Capability::Priority => "priorities",
            Capability::Stats => "counting what waits",
            Capability::Peek => "looking at what waits",
            Capability::Purge => "purging",
            Capability::Status => "looking up a job",
            Capability::Reply => "results by reply",
            Capability::Results => "keeping results",
            Capability::Unique => "unique keys",
            Capability::Cancel => "cancelling jobs",
            Capability::Schedule => "jobs for later and by cron",
            Capability::Limits => "limits of rate and concurrency",
            Capability::Pause => "pausing",
            Capability::Flow => "split, map and gather",
            Capability::Fencing => "fencing late workers",
            Capability::Details => "details of a heartbeat for the next attempt",
        })
    }
}
