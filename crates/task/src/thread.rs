//! [`ThreadPool`] as an executor: the task is moved to a thread and its output back. Nothing is serialised or copied.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use phalanx_thread::{JobContext, JobError, ThreadPool};

use crate::{
    Attempt, Executor, Host, Packed, PackedTask, Pending, Phase, Progress, ProgressCell, Refusal, Registry, Submission,
    SubmitOptions, Task, TaskContext, TaskError, TaskId, span,
};

/// Runs tasks on its threads. A task that panics costs nobody anything; one that crashes takes the process with it, and one that
/// does not look at [`TaskContext::is_cancelled`] keeps its thread after its caller was answered: for such there are process
/// pools.
///
/// ```
/// # use phalanx_task::{Task, TaskContext, TaskError};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Sum { numbers: Vec<u64> }
/// # impl Task for Sum {
/// #     const NAME: &'static str = "sum"; type Output = u64;
/// #     fn run(self, _: &TaskContext) -> Result<u64, TaskError> { Ok(self.numbers.iter().sum()) }
/// # }
/// use phalanx_task::Executor;
/// use phalanx_thread::ThreadPool;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let threads = ThreadPool::builder().threads(2).build().unwrap();
/// assert_eq!(threads.submit(Sum { numbers: vec![1, 2, 3] }).await, Ok(6));
/// # });
/// ```
impl Executor for ThreadPool {
    fn submit_with<T: Task>(&self, task: T, mut options: SubmitOptions) -> Submission<T::Output> {
        let (id, attempt) = (TaskId::next(), Attempt::first());
        options.cost = options.cost.or_else(|| task.cost());
        spawn(self, T::NAME, id, attempt, options, move |context| task.run(context))
    }
}

/// Runs a packed task on a thread, as a queue's runner does.
pub(crate) fn submit_packed(
    pool: &ThreadPool,
    registry: Arc<Registry>,
    name: &'static str,
    task: PackedTask<'_>,
    options: SubmitOptions,
) -> Submission<Packed> {
    let PackedTask { id, input, attempt, .. } = task;
    let answered = attempt.clone();
    spawn(pool, name, id, attempt, options, move |context| {
        let result = registry.run(name, input, context);
        answered.answers();
        result
    })
}

fn spawn<T: Send + 'static>(
    pool: &ThreadPool,
    name: &'static str,
    id: TaskId,
    attempt: Arc<Attempt>,
    options: SubmitOptions,
    run: impl FnOnce(&TaskContext) -> Result<T, TaskError> + Send + 'static,
) -> Submission<T> {
    let SubmitOptions { priority, from_submit, from_start, idempotency_key, cost } = options;
    let mut job = pool.job().priority(priority);
    if let Some(cost) = cost {
        job = job.cost(cost);
    }
    if let Some(time) = from_submit {
        job = job.deadline_from_submit(time);
    }
    if let Some(time) = from_start {
        job = job.deadline_from_start(time);
    }
    let progress = ProgressCell::new();
    let until_it_ends = EndsProgress(progress.clone());
    let span = span::named(name, id, attempt.number());
    let work = move |job: &JobContext| {
        let _inside = span.enter();
        let number = attempt.number();
        let host = Thread { job: job.clone(), progress: until_it_ends, attempt };
        run(&TaskContext::new(name, id, number, host))
    };
    let submission = match idempotency_key {
        Some(key) => job.spawn_once(&key, work),
        None => job.spawn(work),
    };
    Submission::taken(id, OnThread(submission), progress)
}

/// The caller's end of a task on a thread.
struct OnThread<T: Send + 'static>(phalanx_thread::Submission<Result<T, TaskError>>);

impl<T: Send + 'static> Pending<T> for OnThread<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let result = std::task::ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(result.unwrap_or_else(|error| Err(error.into())))
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    fn detach(self: Box<Self>) {
        self.0.detach();
    }
}

/// A thread of a pool, as the context of a task knows it.
struct Thread {
    job: JobContext,
    progress: EndsProgress,
    attempt: Arc<Attempt>,
}

impl Host for Thread {
    fn is_cancelled(&self) -> bool {
        self.job.is_cancelled()
    }

    fn deadline(&self) -> Option<Instant> {
        self.job.deadline()
    }

    fn progress(&self, progress: Progress) {
        self.progress.0.set(progress);
    }

    fn wait(&self, blocking: &mut dyn FnMut()) {
        self.job.wait(blocking);
    }

    fn checkpoint(&self, details: Vec<u8>) {
        self.attempt.keep(details);
    }

    fn earlier(&self) -> Option<Vec<u8>> {
        self.attempt.earlier().map(<[u8]>::to_vec)
    }
}

/// Whoever listens hears the end of a task that ran, and of one that never will.
struct EndsProgress(Arc<ProgressCell>);

impl Drop for EndsProgress {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl From<JobError> for TaskError {
    fn from(error: JobError) -> TaskError {
        match error {
            JobError::Panicked { message, location } => TaskError::Panicked { message, location },
            JobError::TimedOut(phase) => TaskError::TimedOut(phase.into()),
            JobError::Refused(refusal) => TaskError::Refused(refusal.into()),
            JobError::NoThread { reason } => TaskError::Refused(Refusal::NotStarted { reason }),
            JobError::Cancelled => TaskError::Cancelled,
            // None as of now: the enum may grow.
            other => TaskError::failed(other),
        }
    }
}

impl From<phalanx_thread::Phase> for Phase {
    fn from(phase: phalanx_thread::Phase) -> Phase {
        match phase {
            phalanx_thread::Phase::Queue => Phase::Queue,
            phalanx_thread::Phase::Run => Phase::Run,
        }
    }
}

impl From<phalanx_thread::Refusal> for Refusal {
    fn from(refusal: phalanx_thread::Refusal) -> Refusal {
        match refusal {
            phalanx_thread::Refusal::Full { queued, limit } => Refusal::Full { queued, limit },
            phalanx_thread::Refusal::TooLongWait { predicted, limit, retry_after } => {
                Refusal::TooLongWait { predicted, limit, retry_after }
            }
            phalanx_thread::Refusal::Duplicate => Refusal::Duplicate,
            phalanx_thread::Refusal::ShuttingDown => Refusal::ShuttingDown,
            // None as of now: the enum may grow.
            other => Refusal::NotStarted { reason: other.to_string() },
        }
    }
}
