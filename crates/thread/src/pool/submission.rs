//! [`Submission`]: the caller's end of a job.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::pool::error::JobError;
use crate::pool::job::Awaited;

/// A submitted job: a future of its result. It runs whether or not it is awaited.
///
/// Dropping it cancels the job: one that waits is dropped unrun, with all it captured; one that runs sees
/// [`is_cancelled`](crate::JobContext::is_cancelled). [`detach`](Submission::detach) lets it go on.
#[must_use = "dropping a submission cancels the job; await it, or detach() it"]
pub struct Submission<T: Send + 'static> {
    state: State<T>,
}

enum State<T: Send + 'static> {
    Failed(JobError),
    Taken(Arc<dyn Awaited<T>>),
    Over,
}

impl<T: Send + 'static> Submission<T> {
    pub(crate) fn failed(error: JobError) -> Submission<T> {
        Submission { state: State::Failed(error) }
    }

    pub(crate) fn taken(job: Arc<dyn Awaited<T>>) -> Submission<T> {
        job.core().submissions.fetch_add(1, Ordering::Relaxed);
        Submission { state: State::Taken(job) }
    }

    /// From now on it asks nothing more; the job, if it had one.
    fn let_go(&mut self) -> Option<Arc<dyn Awaited<T>>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Taken(job) => {
                job.core().submissions.fetch_sub(1, Ordering::Relaxed);
                Some(job)
            }
            State::Failed(_) | State::Over => None,
        }
    }

    /// Cancels the job; the submission is then ready with [`JobError::Cancelled`], unless it had a result already.
    pub fn cancel(&self) {
        if let State::Taken(job) = &self.state {
            job.clone().stop(JobError::Cancelled);
        }
    }

    /// Whether a result (or an error) is there to be awaited without waiting.
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Taken(job) => job.ticket().is_over(),
            State::Failed(_) | State::Over => true,
        }
    }

    /// Lets the job run though nobody wants its result. A refused one is gone.
    pub fn detach(mut self) {
        self.let_go();
    }
}

impl<T: Send + 'static> Future for Submission<T> {
    type Output = Result<T, JobError>;

    /// After it was ready once, it is ready with [`JobError::Cancelled`].
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &self.state {
            State::Failed(error) => Err(error.clone()),
            State::Taken(job) => match job.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(result) => result,
            },
            State::Over => Err(JobError::Cancelled),
        };
        self.let_go();
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for Submission<T> {
    fn drop(&mut self) {
        if let Some(job) = self.let_go() {
            job.abandon();
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Submission<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("finished", &self.is_finished()).finish()
    }
}
