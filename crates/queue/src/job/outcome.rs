//! [`Lease`], [`Heartbeat`], [`Finish`]: the conversation between a runner and the store.

use std::time::Duration;

use phalanx_task::Progress;
use serde::{Deserialize, Serialize};

use super::ChildEnd;
use crate::{JobId, QueueName, Token, UnixMillis};

/// A runner asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The runner: one id for its whole life, for people and for leases.
    pub runner: JobId,
    /// Its name for people: `host:pid`.
    pub name: String,
    /// From these queues.
    pub queues: Vec<QueueName>,
    /// Only jobs of these kinds: those that it knows.
    pub kinds: Vec<String>,
    /// At most so many, at least 1.
    pub most: usize,
    /// How long to wait for the first one. Then an empty answer.
    pub wait: Duration,
}

/// One attempt at a job, in a runner's hands. It is to be [renewed](super::JobStore::renew) within [`Lease::LASTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The right to say how it went.
    pub token: Token,
    /// From which queue.
    pub queue: QueueName,
    /// The name of the task.
    pub kind: String,
    /// The input, as it was submitted.
    #[serde(with = "crate::bytes")]
    pub payload: Vec<u8>,
    /// Attempts so far that were not handed back uncounted, this one included.
    pub attempt: u32,
    /// Attempts so far that crashed.
    pub crashes: u32,
    /// When it has to be done.
    pub deadline: Option<UnixMillis>,
    /// How long this attempt may take.
    pub run_limit: Option<Duration>,
    /// What an earlier attempt said of its state.
    pub details: Option<Vec<u8>>,
    /// How the children ended, in order, if this job gathers.
    pub children: Option<Vec<ChildEnd>>,
}

impl Lease {
    /// How long a lease lasts without being renewed. Renew it every third of that.
    pub const LASTS: Duration = Duration::from_secs(30);
}

/// A runner is alive and works on this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// On what.
    pub token: Token,
    /// How far it is, if that changed.
    pub progress: Option<Progress>,
    /// Its state, for the attempt after this, if that changed. At most 64 KiB.
    pub details: Option<Vec<u8>>,
}

/// What a heartbeat is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Go on.
    Kept,
    /// Stop: nobody wants it any more. Finish it with [`Outcome::Cancelled`].
    Cancelled,
    /// Stop: the lease is somebody else's by now.
    Lost,
}

/// A lease that the store wants to end, told without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Which.
    pub token: Token,
    /// [`Standing::Cancelled`] or [`Standing::Lost`].
    pub why: Standing,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// The right to say so.
    pub token: Token,
    /// What is said.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// With this result, packed.
    Done(#[serde(with = "crate::bytes")] Vec<u8>),
    /// With this error, packed. It is tried again as its policy says, unless that is hopeless.
    Failed {
        /// The error.
        error: Vec<u8>,
        /// Trying again cannot help: an input that cannot be read, a task that refuses for ever.
        hopeless: bool,
    },
    /// It killed its job process. Counted apart.
    Crashed {
        /// The error.
        error: Vec<u8>,
    },
    /// It was not worked on: the runner stops, or has no room. Counts as nothing.
    Returned,
    /// It was told to stop, and did.
    Cancelled,
}

/// What the store says to a finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recorded {
    /// It counts, and is durable.
    Yes,
    /// It is not recorded: another attempt was begun, or the job has ended otherwise.
    Stale,
}

/// For logs.
impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let job: &JobId = &self.job;
        write!(f, "{job}/{}.{}", self.epoch, self.attempt)
    }
}
