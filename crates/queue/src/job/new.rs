//! [`NewJob`]: a job as it is submitted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::NewFlow;
use crate::{JobId, QueueName, RetryPolicy, UnixMillis};

/// How much waiting one level of priority is worth.
pub const PRIORITY_STEP: Duration = Duration::from_secs(30);

/// A job, ready to be stored. Made from a task by [`Jobs`](crate::Jobs) and [`QueueExecutor`](crate::QueueExecutor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its id: submitting it twice is submitting it once.
    pub id: JobId,
    /// In which queue. Queues of jobs need no declaration.
    pub queue: QueueName,
    /// The name of the task.
    pub kind: String,
    /// The input, packed, with large blobs by their hashes: see [`payload`](crate::payload).
    #[serde(with = "crate::bytes")]
    pub payload: Vec<u8>,
    /// 0 to 9, 9 first.
    pub priority: u8,
    /// Not before this moment; 0 is now.
    pub not_before: UnixMillis,
    /// After this moment it is not begun any more, and an attempt that runs is ended.
    pub deadline: Option<UnixMillis>,
    /// Each attempt must be done in this time.
    pub run_limit: Option<Duration>,
    /// What happens after errors and crashes.
    pub retry: RetryPolicy,
    /// No second one like it.
    pub unique: Option<Unique>,
    /// How long its result (or its last error) is kept after the end: default 24 h. Dead ones are kept for 7 days.
    pub keep: Duration,
    /// Somebody waits for the end: the store shall not be slow to tell.
    pub awaited: bool,
}

/// A key that only one job may have at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unique {
    /// The key; counts per queue.
    pub key: String,
    /// How long it is held from the moment of submission, whatever becomes of the job; zero: until the job has ended.
    pub ttl: Duration,
}

/// What is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// One job.
    Job(NewJob),
    /// Children and the job that gathers their results: stored together or not at all.
    Flow(NewFlow),
}

/// Where a job stands in its queue: smaller is earlier. `ready` is the moment from which it could run.
pub fn rank(ready: UnixMillis, priority: u8) -> i64 {
    let step = i64::try_from(PRIORITY_STEP.as_millis()).unwrap_or(i64::MAX);
    i64::try_from(ready.0).unwrap_or(i64::MAX).saturating_sub(i64::from(priority).saturating_mul(step))
}

impl NewJob {
    /// A job of this kind, on the default terms.
    pub fn new(queue: QueueName, kind: impl Into<String>, payload: Vec<u8>) -> NewJob {
        NewJob {
            id: JobId::new(),
            queue,
            kind: kind.into(),
            payload,
            priority: phalanx_task::Priority::DEFAULT.level(),
            not_before: UnixMillis(0),
            deadline: None,
            run_limit: None,
            retry: RetryPolicy::default(),
            unique: None,
            keep: Duration::from_secs(24 * 60 * 60),
            awaited: false,
        }
    }
}

impl Work {
    /// The job that others wait for: the one, or the one that gathers.
    pub fn head(&self) -> &NewJob {
        match self {
            Work::Job(job) => job,
            Work::Flow(flow) => &flow.gather,
        }
    }
}
