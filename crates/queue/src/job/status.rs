//! [`JobStatus`]: what is known of a job.

use std::fmt;

use phalanx_task::Progress;
use serde::{Deserialize, Serialize};

use crate::{JobId, QueueName, UnixMillis};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It waits for its time: delayed, or to be tried again.
    Scheduled,
    /// It could run now.
    Ready,
    /// A runner has it.
    Leased,
    /// It waits for its children.
    WaitingChildren,
    /// It has a result.
    Done,
    /// It is given up: its errors or crashes are used up, or its deadline passed. It can be revived.
    Dead,
    /// Somebody said so.
    Cancelled,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The name of its task.
    pub kind: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Grows with every change: what to give to [`JobStore::changed`](super::JobStore::changed).
    pub version: u64,
    /// 0 to 9.
    pub priority: u8,
    /// Attempts so far that were not handed back.
    pub attempts: u32,
    /// Those that ended with an error.
    pub errors: u32,
    /// Those that crashed.
    pub crashes: u32,
    /// When it was submitted.
    pub submitted: UnixMillis,
    /// Not before this, if it is scheduled.
    pub not_before: UnixMillis,
    /// When it ended.
    pub ended: Option<UnixMillis>,
    /// Until when it is kept after its end.
    pub expires: Option<UnixMillis>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Its last error, packed as in [`Outcome::Failed`](super::Outcome::Failed).
    pub error: Option<Vec<u8>>,
    /// Who has it: the name of the runner.
    pub runner: Option<String>,
    /// The job that gathers, if this is a child.
    pub parent: Option<JobId>,
    /// Children in all, and children that have ended, if this job gathers.
    pub children: Option<(u32, u32)>,
}

/// How a job ended, for whoever waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobEnd {
    /// Its result, packed.
    Done(#[serde(with = "crate::bytes")] Vec<u8>),
    /// Its last error, packed.
    Dead(Vec<u8>),
    /// Somebody said so.
    Cancelled,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobFilter {
    /// Of this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// Older than this id (newest first): for the next page.
    pub before: Option<JobId>,
    /// At most so many; 0 is 100, and 1 000 is the most.
    pub most: usize,
}

impl JobState {
    /// Whether nothing will happen any more, unless it is revived.
    pub fn is_end(self) -> bool {
        matches!(self, JobState::Done | JobState::Dead | JobState::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobState::Scheduled => "scheduled",
            JobState::Ready => "ready",
            JobState::Leased => "leased",
            JobState::WaitingChildren => "waiting-children",
            JobState::Done => "done",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
        })
    }
}
