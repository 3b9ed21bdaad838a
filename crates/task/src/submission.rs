//! [`Submission`]: the caller's end of a task, whatever runs it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::{Phase, ProgressCell, ProgressStream, TaskError, blocking};

/// Number of a submission, unique in this process: for logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl TaskId {
    /// The next number.
    pub fn next() -> TaskId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        TaskId(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for TaskId {
    fn from(number: u64) -> TaskId {
        TaskId(number)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an executor has to offer for one task of its: implemented by executors, used through [`Submission`].
pub trait Pending<T>: Send + Unpin {
    /// The result, once. It is not asked for again after that.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>>;
    /// The caller wants no result any more; it will get [`TaskError::Cancelled`], unless the task has ended already.
    fn cancel(&self);
    /// Lets the task run though nobody waits for it.
    fn detach(self: Box<Self>);
}

/// A submitted task: a future of its output. It runs whether or not it is awaited.
///
/// Dropping it cancels the task; [`detach`](Submission::detach) lets it go on.
#[must_use = "dropping a submission cancels the task; await it, or detach() it"]
pub struct Submission<T> {
    id: TaskId,
    state: State<T>,
    progress: Arc<ProgressCell>,
}

enum State<T> {
    Failed(TaskError),
    Taken(Box<dyn Pending<T>>),
    /// It gave its result, or was detached.
    Over,
}

impl<T> Submission<T> {
    /// One that was taken.
    pub fn taken(id: TaskId, pending: impl Pending<T> + 'static, progress: Arc<ProgressCell>) -> Submission<T> {
        Submission { id, state: State::Taken(Box::new(pending)), progress }
    }

    /// One that is over before it began.
    pub fn failed(id: TaskId, error: impl Into<TaskError>) -> Submission<T> {
        Submission { id, state: State::Failed(error.into()), progress: ProgressCell::ended() }
    }

    /// Its number, for logs.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Cancels the task; the submission is then ready with [`TaskError::Cancelled`], unless it had a result already. One
    /// that waits never runs. One that runs on a thread is told so; one in a process is told so and soon killed.
    pub fn cancel(&self) {
        if let State::Taken(pending) = &self.state {
            pending.cancel();
        }
    }

    /// What the task [says](crate::TaskContext::progress) of its progress: the latest word, whenever there is a new one. Ends with
    /// the task.
    pub fn progress(&self) -> ProgressStream {
        ProgressStream::new(self.progress.clone())
    }

    /// Blocks the calling thread until the result is there: for programs without a runtime. Not for an event loop; inside of a
    /// task, in [`TaskContext::wait`](crate::TaskContext::wait).
    ///
    /// If it is not there `within` this time, the task is cancelled and the result is [`TaskError::TimedOut`], as if it ran: who
    /// waits outside does not know whether it had begun.
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
    /// use std::time::Duration;
    ///
    /// let threads = ThreadPool::builder().threads(1).build()?;
    /// assert_eq!(threads.submit(Sum { numbers: vec![1, 2, 3] }).wait(Duration::from_secs(10)), Ok(6));
    /// # Ok::<(), phalanx_thread::Error>(())
    /// ```
    pub fn wait(mut self, within: Duration) -> Result<T, TaskError> {
        if let Some(result) = blocking::poll_within(&mut self, within) {
            return result;
        }
        self.cancel();
        // It may have ended in the last moment; whoever was cancelled is ready at once.
        match blocking::poll_within(&mut self, Duration::ZERO) {
            Some(Err(TaskError::Cancelled)) | None => Err(TaskError::TimedOut(Phase::Run)),
            Some(result) => result,
        }
    }

    /// Lets the task run though nobody wants its result. A refused one is gone.
    pub fn detach(mut self) {
        if let State::Taken(pending) = std::mem::replace(&mut self.state, State::Over) {
            pending.detach();
        }
    }
}

impl<T> Unpin for Submission<T> {}

impl<T> Future for Submission<T> {
    type Output = Result<T, TaskError>;

    /// After it was ready once, it is ready with [`TaskError::Cancelled`].
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Taken(pending) = &mut self.state {
            return match pending.poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(result) => {
                    self.state = State::Over;
                    self.progress.end();
                    Poll::Ready(result)
                }
            };
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Taken(_) | State::Over => Poll::Ready(Err(TaskError::Cancelled)),
        }
    }
}

impl<T> Drop for Submission<T> {
    /// One that was detached has not ended: its progress goes on.
    fn drop(&mut self) {
        if let State::Taken(pending) = &self.state {
            pending.cancel();
            self.progress.end();
        }
    }
}

impl<T> fmt::Debug for Submission<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("id", &self.id.0).finish_non_exhaustive()
    }
}
