//! [`Jobs`]: jobs as a program sees them: typed tasks in, handles out.
//!
//! ```text
//!   Jobs::submit(task) ──► NewJob (packed) ──► JobStore ──► durable: JobHandle
//!                                                 │            ├── result().await: the task's output, typed
//!   any program, any machine: JobRunner ◄─────────┘            └── status, watch, cancel; by_id() from another program
//! ```

mod flow;
mod handle;
mod options;

use std::sync::Arc;
use std::time::Duration;

use phalanx_task::{Packed, Task};

use crate::blobs::BlobStore;
use crate::job::{JobFilter, JobStatus, JobStore, KindLimits, NewJob, Pause, Schedule, Submitted, Work};
use crate::{Error, JobId, Queue, QueueName, QueueStats, UnixMillis, payload};

pub(crate) use flow::gathered;
pub use flow::{Flow, Gather, Gathering};
pub use handle::{JobError, JobHandle, JobWatch};
pub use options::JobOptions;

/// The jobs of a queue. Cheap to clone.
///
/// ```no_run
/// # use phalanx_task::{Task, TaskContext, TaskError};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Sum(Vec<u64>);
/// # impl Task for Sum {
/// #     const NAME: &'static str = "sum"; type Output = u64;
/// #     fn run(self, _: &TaskContext) -> Result<u64, TaskError> { Ok(self.0.iter().sum()) }
/// # }
/// use phalanx_queue::{JobOptions, Jobs, Queue};
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = Jobs::new(&Queue::connect("embedded:./data").await?);
/// // When this returns, the job is on disk.
/// let job = jobs.submit(Sum(vec![1, 2, 3])).await?;
/// println!("{} will be there after a restart too", job.id());
/// assert_eq!(job.result().await?, 6); // some JobRunner runs it
///
/// let later = JobOptions::new().delay(Duration::from_secs(3600)).unique("hourly sum");
/// jobs.submit_with(Sum(vec![1]), &later).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Jobs {
    /// Where they are kept.
    queue: Queue,
}

impl Jobs {
    /// The jobs behind this connection.
    pub fn new(queue: &Queue) -> Jobs {
        Jobs { queue: queue.clone() }
    }

    /// The connection.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Submits a task on the default terms. When this returns, the job is durable.
    pub async fn submit<T: Task>(&self, task: T) -> Result<JobHandle<T::Output>, Error> {
        self.submit_with(task, &JobOptions::new()).await
    }

    /// Submits a task on these terms. If another job holds its unique key, nothing is submitted, and the handle is
    /// [that of the other one](JobHandle::is_of_another).
    ///
    /// Errors: [`Error::Full`], [`Error::TooBig`], [`Error::Unavailable`], and [`Error::Unsupported`] for terms that the broker does not
    /// have.
    pub async fn submit_with<T: Task>(&self, task: T, options: &JobOptions) -> Result<JobHandle<T::Output>, Error> {
        let job = self.new_job(&task, options).await?;
        let taken = self.store().submit(vec![Work::Job(job)]).await?;
        self.handle_of(taken.into_iter().next().unwrap_or(Err(Error::Closed))?)
    }

    /// Submits many at once: as durable, and much faster than one after the other. Each is taken or not by itself.
    pub async fn submit_many<T: Task>(
        &self,
        tasks: impl IntoIterator<Item = T>,
        options: &JobOptions,
    ) -> Result<Vec<Result<JobHandle<T::Output>, Error>>, Error> {
        let mut works = Vec::new();
        for task in tasks {
            works.push(Work::Job(self.new_job(&task, options).await?));
        }
        let taken = self.store().submit(works).await?;
        Ok(taken.into_iter().map(|taken| taken.and_then(|taken| self.handle_of(taken))).collect())
    }

    /// Splits: submits these children, and a job that gathers their results in their order. See [`Flow`].
    pub fn flow<T, G>(&self, children: impl IntoIterator<Item = T>, gather: G) -> Flow<T, G>
    where
        T: Task,
        G: Gather<Part = T::Output>,
    {
        Flow::new(self.clone(), children.into_iter().collect(), gather)
    }

    /// A job that was submitted elsewhere, or in an earlier life of this program, as one of task `T`.
    pub fn by_id<T: Task>(&self, id: JobId) -> JobHandle<T::Output> {
        JobHandle::new(self.clone(), id, handle::Whose::Ours)
    }

    /// What is known of a job.
    pub async fn status(&self, id: JobId) -> Result<JobStatus, Error> {
        self.store().changed(id, 0, Duration::ZERO).await
    }

    /// The status of a job whenever it changes, whatever its task.
    pub fn watch(&self, id: JobId) -> JobWatch {
        JobWatch::new(self.store().clone(), id)
    }

    /// Jobs, newest first.
    pub async fn list(&self, filter: JobFilter) -> Result<Vec<JobStatus>, Error> {
        self.store().list(filter).await
    }

    /// Ends a job: one that waits never runs, one that runs is told. [`Error::WrongState`] if it has ended.
    pub async fn cancel(&self, id: JobId) -> Result<(), Error> {
        self.store().cancel(id).await
    }

    /// Gives a dead or cancelled job another life, with fresh counters.
    pub async fn revive(&self, id: JobId) -> Result<(), Error> {
        self.store().revive(id).await
    }

    /// What a queue holds; all queues without a name.
    pub async fn stats(&self, queue: Option<QueueName>) -> Result<Vec<QueueStats>, Error> {
        self.store().stats(queue).await
    }

    /// Throws away the jobs of a queue that have ended; how many there were.
    pub async fn purge_ended(&self, queue: QueueName) -> Result<u64, Error> {
        self.store().purge(queue, false).await
    }

    /// Throws away the jobs of a queue that have ended, and those that wait. None that runs.
    pub async fn purge_waiting(&self, queue: QueueName) -> Result<u64, Error> {
        self.store().purge(queue, true).await
    }

    /// Gives nothing of this out any more: what runs goes on, submitting goes on. It is stored.
    pub async fn pause(&self, what: Pause) -> Result<(), Error> {
        self.store().pause(what, true).await
    }

    /// Gives it out again.
    pub async fn resume(&self, what: Pause) -> Result<(), Error> {
        self.store().pause(what, false).await
    }

    /// How fast jobs of a kind may be begun, over all runners. Without both limits there is none.
    pub async fn limit(&self, limits: KindLimits) -> Result<(), Error> {
        self.store().limit(limits).await
    }

    /// Submits this task again and again: `cron` has five fields in UTC, as cron(5) has them. A schedule of the same name is replaced.
    pub async fn schedule<T: Task>(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        task: T,
        options: &JobOptions,
    ) -> Result<(), Error> {
        let (name, job) = (name.into(), self.new_job(&task, options).await?);
        let schedule = Schedule { name: name.clone(), cron: cron.into(), job, next: UnixMillis(0) };
        self.store().schedule(name, Some(schedule)).await
    }

    /// Removes a schedule; what it has submitted stays.
    pub async fn unschedule(&self, name: impl Into<String>) -> Result<(), Error> {
        self.store().schedule(name.into(), None).await
    }

    /// All schedules, by name.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.store().schedules().await
    }

    pub(crate) fn store(&self) -> &Arc<dyn JobStore> {
        self.queue.store()
    }

    pub(crate) fn blobs(&self) -> Option<&Arc<dyn BlobStore>> {
        self.queue.blobs()
    }

    async fn new_job<T: Task>(&self, task: &T, options: &JobOptions) -> Result<NewJob, Error> {
        let packed = Packed::of(task).map_err(|error| Error::Malformed {
            what: format!("the input of \"{}\"", T::NAME),
            reason: error.to_string(),
        })?;
        let payload = payload::pack(packed, self.blobs()).await?;
        Ok(options.job(T::NAME, payload, UnixMillis::now()))
    }

    fn handle_of<T>(&self, taken: Submitted) -> Result<JobHandle<T>, Error> {
        Ok(match taken {
            Submitted::Taken(id) => JobHandle::new(self.clone(), id, handle::Whose::Ours),
            Submitted::Held(id) => JobHandle::new(self.clone(), id, handle::Whose::AnotherOfItsKey),
        })
    }
}
