//! [`JobHandle`]: a job that was submitted, and its typed result.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phalanx_task::{Progress, TaskError};
use serde::de::DeserializeOwned;

use super::Jobs;
use crate::job::{JobEnd, JobStatus, JobStore};
use crate::{Error, JobId, payload};

/// How long one question waits for its answer. Then it is asked again.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);

/// A submitted job. Dropping the handle changes nothing: the job runs, and [`Jobs::by_id`] finds it again.
pub struct JobHandle<T> {
    jobs: Jobs,
    id: JobId,
    whose: Whose,
    output: PhantomData<fn() -> T>,
}

/// Whether a submission was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// It was not: the handle is of the job that holds the same unique key.
    AnotherOfItsKey,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// The job has ended without one: the last error of its task; [`TaskError::Cancelled`] if somebody cancelled it.
    Task(TaskError),
    /// The queue cannot say. The job may still end well.
    Queue(Error),
}

impl<T> JobHandle<T> {
    pub(super) fn new(jobs: Jobs, id: JobId, whose: Whose) -> JobHandle<T> {
        JobHandle { jobs, id, whose, output: PhantomData }
    }

    /// Its id: what another program needs to find it.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Whether nothing was submitted, because another job, this one, holds the same unique key.
    pub fn is_of_another(&self) -> bool {
        self.whose == Whose::AnotherOfItsKey
    }

    /// What is known of it.
    pub async fn status(&self) -> Result<JobStatus, Error> {
        self.jobs.status(self.id).await
    }

    /// Its status whenever it changes, with its progress.
    pub fn watch(&self) -> JobWatch {
        self.jobs.watch(self.id)
    }

    /// Ends it: if it waits it never runs, if it runs it is told. [`Error::WrongState`] if it has ended.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.jobs.cancel(self.id).await
    }
}

impl<T: DeserializeOwned> JobHandle<T> {
    /// Waits for its end, however long that takes. May be asked again, and by others, as long as the result is kept.
    pub async fn result(&self) -> Result<T, JobError> {
        loop {
            if let Some(result) = self.ended(LONGEST_QUESTION).await? {
                return Ok(result);
            }
        }
    }

    /// Waits at most this long; `None` if it has not ended by then.
    pub async fn result_within(&self, time: Duration) -> Result<Option<T>, JobError> {
        let begun = Instant::now();
        loop {
            let left = time.saturating_sub(begun.elapsed());
            let result = self.ended(left.min(LONGEST_QUESTION)).await?;
            if result.is_some() || left.is_zero() {
                return Ok(result);
            }
        }
    }

    async fn ended(&self, wait: Duration) -> Result<Option<T>, JobError> {
        let Some(end) = self.jobs.store().ended(self.id, wait).await? else { return Ok(None) };
        match end {
            JobEnd::Done(result) => {
                let packed = payload::unpack(&result, self.jobs.blobs()).await?;
                let unreadable =
                    |reason: String| Error::Malformed { what: format!("the result of {}", self.id), reason };
                Ok(Some(packed.unpack().map_err(|error| unreadable(error.to_string()))?))
            }
            JobEnd::Dead(error) => Err(JobError::Task(payload::as_error(&error))),
            JobEnd::Cancelled => Err(JobError::Task(TaskError::Cancelled)),
        }
    }
}

/// The status of a job, as it changes: what came while nobody asked is skipped.
pub struct JobWatch {
    store: Arc<dyn JobStore>,
    id: JobId,
    seen: u64,
    is_over: bool,
}

impl JobWatch {
    pub(super) fn new(store: Arc<dyn JobStore>, id: JobId) -> JobWatch {
        JobWatch { store, id, seen: 0, is_over: false }
    }

    /// The status as soon as it differs from the one before; at once the first time. `None` after the job has ended, and after an
    /// error. An error that is [passing](Error::is_passing) does not end it.
    pub async fn next(&mut self) -> Option<Result<JobStatus, Error>> {
        while !self.is_over {
            match self.store.changed(self.id, self.seen, LONGEST_QUESTION).await {
                Ok(status) if status.version == self.seen => {}
                Ok(status) => {
                    self.seen = status.version;
                    self.is_over = status.state.is_end();
                    return Some(Ok(status));
                }
                Err(error) => {
                    self.is_over = !error.is_passing();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// The next word of its progress; `None` when it has ended. Errors as above end it too.
    pub async fn next_progress(&mut self, last: Option<Progress>) -> Option<Progress> {
        loop {
            let status = self.next().await?.ok()?;
            if status.progress.is_some() && status.progress != last {
                return status.progress;
            }
        }
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> JobError {
        JobError::Queue(error)
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::Task(error) => error.fmt(f),
            JobError::Queue(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JobError::Task(error) => Some(error),
            JobError::Queue(error) => Some(error),
        }
    }
}

impl<T> fmt::Debug for JobHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for JobWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobWatch").field("id", &self.id).field("seen", &self.seen).finish_non_exhaustive()
    }
}
