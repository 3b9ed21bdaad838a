//! [`JobOptions`]: on which terms a job is submitted.

use std::time::{Duration, SystemTime};

use phalanx_task::Priority;

use crate::job::{NewJob, Unique};
use crate::{QueueName, RetryPolicy, UnixMillis};

/// Queue, priority, times, retries. The default: the queue `default`, at once, [`RetryPolicy::default`], no deadline, the result kept for
/// 24 h.
///
/// ```
/// use phalanx_queue::{JobOptions, RetryPolicy};
/// use phalanx_task::Priority;
/// use std::time::Duration;
///
/// let options = JobOptions::new()
///     .priority(Priority::HIGHEST)
///     .deadline(Duration::from_secs(600))
///     .run_limit(Duration::from_secs(60))
///     .retry(RetryPolicy::default().attempts(10))
///     .unique_for("invoice 7", Duration::from_secs(3600));
/// assert_eq!(options, options.clone());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "nothing happens before a job is submitted with them"]
pub struct JobOptions {
    queue: QueueName,
    priority: Priority,
    begin: Begin,
    deadline: Option<When>,
    run_limit: Option<Duration>,
    retry: RetryPolicy,
    unique: Option<Unique>,
    keep: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Begin {
    #[default]
    Now,
    NotBefore(When),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// After the submission.
    In(Duration),
    At(UnixMillis),
}

impl When {
    fn moment(self, now: UnixMillis) -> UnixMillis {
        match self {
            When::In(time) => now.after(time),
            When::At(moment) => moment,
        }
    }
}

impl JobOptions {
    /// The default.
    pub fn new() -> JobOptions {
        JobOptions::default()
    }

    /// In which queue. Queues of jobs need no declaration.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// Who goes first. One level is worth 30 s of waiting.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Not before this time has passed.
    pub fn delay(mut self, time: Duration) -> Self {
        self.begin = Begin::NotBefore(When::In(time));
        self
    }

    /// Not before this moment.
    pub fn at(mut self, moment: SystemTime) -> Self {
        self.begin = Begin::NotBefore(When::At(moment.into()));
        self
    }

    /// It must be done this long after it was submitted: then it is not begun any more, and an attempt that runs is ended.
    pub fn deadline(mut self, time: Duration) -> Self {
        self.deadline = Some(When::In(time));
        self
    }

    /// It must be done at this moment.
    pub fn deadline_at(mut self, moment: SystemTime) -> Self {
        self.deadline = Some(When::At(moment.into()));
        self
    }

    /// Each attempt must be done in this time; one that is not counts as an error.
    pub fn run_limit(mut self, time: Duration) -> Self {
        self.run_limit = Some(time);
        self
    }

    /// What happens after errors and crashes.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// No second job of this queue with the same key, until this one has ended.
    pub fn unique(self, key: impl Into<String>) -> Self {
        self.unique_for(key, Duration::ZERO)
    }

    /// No second job of this queue with the same key for this time from its submission, whatever becomes of it.
    pub fn unique_for(mut self, key: impl Into<String>, ttl: Duration) -> Self {
        self.unique = Some(Unique { key: key.into(), ttl });
        self
    }

    /// How long its result is kept after its end.
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = Some(time);
        self
    }

    /// A job on these terms.
    pub(crate) fn job(&self, kind: &str, payload: Vec<u8>, now: UnixMillis) -> NewJob {
        let mut job = NewJob::new(self.queue.clone(), kind, payload);
        job.priority = self.priority.level();
        if let Begin::NotBefore(when) = self.begin {
            job.not_before = when.moment(now);
        }
        job.deadline = self.deadline.map(|when| when.moment(now));
        job.run_limit = self.run_limit;
        job.retry = self.retry;
        job.unique = self.unique.clone();
        job.keep = self.keep.unwrap_or(job.keep);
        job
    }
}
