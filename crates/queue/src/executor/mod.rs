//! [`QueueExecutor`]: the third place where a task runs.
//!
//! ```text
//!   submit_with ──► Ticket ──► Pump (on the thread of the handle): many tickets, one store.submit(…)
//!        │                       └── ended(…) of each ──► result on the ticket, its caller is woken
//!        └── Submission: cancel, drop ──► store.cancel        progress() ──► store.changed(…), for who listens
//! ```

mod pump;
mod ticket;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phalanx_task::{
    Executor, Packed, Phase, ProgressCell, Refusal, Submission, SubmitOptions, Task, TaskError, TaskId,
};
use tokio::sync::mpsc;

use crate::job::{NewJob, Unique};
use crate::{Error, Jobs, Queue, QueueName, RetryPolicy, UnixMillis};
use pump::{Pump, Word};
use ticket::{Taken, Ticket};

/// Submissions that the store has not confirmed yet.
const DEFAULT_IN_FLIGHT: usize = 1024;

/// Submits tasks as jobs: any [`JobRunner`](crate::JobRunner) runs them, on this machine or another, and again if it dies. Cheap to clone.
///
/// What a submission promises is what every [`Executor`] promises, with these differences:
///
/// * **It is durable.** The job outlives this program, unless it is cancelled. Dropping the [`Submission`] cancels the job, as
///   everywhere; [`detach`](Submission::detach) lets it go on, and a [`JobHandle`](crate::JobHandle) never cancels by being dropped.
/// * **Errors and crashes are tried again**, as the [policy](QueueExecutor::retry) says; the caller gets the last one. A
///   [`Refusal::Full`] comes as soon as the store has said so, not at once.
/// * A task that no runner knows waits for one that does, until its deadline.
/// * The lowest priority overtakes higher ones by the time that it has waited, not by the number of starts.
/// * An idempotency key counts for all programs at the queue.
///
/// ```no_run
/// # use phalanx_task::{Task, TaskContext, TaskError};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Sum(Vec<u64>);
/// # impl Task for Sum {
/// #     const NAME: &'static str = "sum"; type Output = u64;
/// #     fn run(self, _: &TaskContext) -> Result<u64, TaskError> { Ok(self.0.iter().sum()) }
/// # }
/// use phalanx_queue::{Queue, QueueExecutor};
/// use phalanx_task::Executor;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = QueueExecutor::new(&Queue::connect("embedded:./data").await?);
/// assert_eq!(queue.submit(Sum(vec![1, 2, 3])).await?, 6);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct QueueExecutor {
    shared: Arc<Shared>,
    queue: QueueName,
    retry: RetryPolicy,
    most_in_flight: usize,
}

struct Shared {
    jobs: Jobs,
    in_flight: Arc<AtomicUsize>,
    /// To the pump; nothing if its thread is gone.
    words: Option<mpsc::UnboundedSender<Word>>,
}

impl QueueExecutor {
    /// Submits to the queue `default` of this connection, with the default [`RetryPolicy`].
    pub fn new(queue: &Queue) -> QueueExecutor {
        let jobs = Jobs::new(queue);
        let in_flight = Arc::default();
        let words = queue.io().ok().map(|io| {
            let (words, heard) = mpsc::unbounded_channel();
            let pump = Pump::new(jobs.store().clone(), jobs.blobs().cloned(), words.downgrade());
            io.spawn(pump.run(heard));
            words
        });
        QueueExecutor {
            shared: Arc::new(Shared { jobs, in_flight, words }),
            queue: QueueName::default(),
            retry: RetryPolicy::default(),
            most_in_flight: DEFAULT_IN_FLIGHT,
        }
    }

    /// To this queue.
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// What happens after errors and crashes.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How many submissions may wait for the store's confirmation; one more is [`Refusal::Full`] at once. Default 1 024. Counted over
    /// all clones.
    pub fn most_in_flight(mut self, submissions: usize) -> Self {
        self.most_in_flight = submissions.max(1);
        self
    }

    /// The jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.shared.jobs
    }

    /// Hands the job to the pump, or says why not.
    fn take(&self, input: Packed, job: NewJob) -> Result<Taken, TaskError> {
        let words = self.shared.words.as_ref().ok_or(Refusal::ShuttingDown)?;
        let queued = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket::new(job.id, words.clone(), self.shared.in_flight.clone());
        if queued >= self.most_in_flight {
            ticket.is_confirmed();
            return Err(Refusal::Full { queued, limit: self.most_in_flight }.into());
        }
        let submit = Word::Submit { ticket: ticket.clone(), job: Box::new(job), input };
        if words.send(submit).is_err() {
            ticket.is_confirmed();
            return Err(Refusal::ShuttingDown.into());
        }
        Ok(Taken { ticket, _queue: self.shared.jobs.queue().clone() })
    }

    fn job(&self, kind: &str, options: SubmitOptions) -> NewJob {
        let SubmitOptions { priority, from_submit, from_start, idempotency_key, .. } = options;
        let mut job = NewJob::new(self.queue.clone(), kind, Vec::new());
        job.priority = priority.level();
        job.deadline = from_submit.map(|time| UnixMillis::now().after(time));
        job.run_limit = from_start;
        job.retry = self.retry;
        job.unique = idempotency_key.map(|key| Unique { key, ttl: Duration::ZERO });
        job.awaited = true;
        job
    }
}

impl Executor for QueueExecutor {
    fn submit_with<T: Task>(&self, task: T, options: SubmitOptions) -> Submission<T::Output> {
        if options.from_submit.is_some_and(|time| time.is_zero()) {
            return Submission::failed(TaskId::next(), TaskError::TimedOut(Phase::Queue));
        }
        let job = self.job(T::NAME, options);
        let id = job.id.task_id();
        let taken = Packed::of(&task).map_err(TaskError::failed).and_then(|input| self.take(input, job));
        match taken {
            Ok(taken) => {
                let ticket = taken.ticket.clone();
                let progress = ProgressCell::on_listener(move || ticket.is_listened_to());
                taken.ticket.fetches_progress_into(&progress);
                Submission::taken(id, taken, progress)
            }
            Err(error) => Submission::failed(id, error),
        }
    }
}

/// What an error of the queue means for a task.
pub(crate) fn as_task_error(error: Error) -> TaskError {
    match error {
        Error::Full { waiting, limit, .. } => {
            let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
            Refusal::Full { queued: count(waiting), limit: count(limit) }.into()
        }
        Error::TooBig { bytes, limit } => Refusal::TooBig { bytes, limit }.into(),
        Error::Closed => Refusal::ShuttingDown.into(),
        other => Refusal::Unavailable { reason: other.to_string() }.into(),
    }
}

impl fmt::Debug for QueueExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueExecutor")
            .field("jobs", &self.shared.jobs)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
