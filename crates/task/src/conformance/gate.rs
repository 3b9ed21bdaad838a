//! Waiting for what must come, and tasks that run until the case says so.

use std::pin::pin;

use crate::conformance::GIVE_UP;
use crate::conformance::tasks::{Count, Hold};
use crate::{Executor, Progress, ProgressStream, Submission, Task, TaskError, blocking};

/// The result of a task, which comes or something is broken.
pub(super) fn end_of<T>(mut submission: Submission<T>) -> Result<T, TaskError> {
    blocking::poll_within(&mut submission, GIVE_UP).expect("the task has no end")
}

pub(super) fn next_word(progress: &mut ProgressStream) -> Option<Progress> {
    blocking::poll_within(&mut pin!(progress.next()), GIVE_UP).expect("no word of progress")
}

/// Returns when the task says that it runs.
pub(super) fn begun<T>(submission: Submission<T>) -> Submission<T> {
    assert_eq!(next_word(&mut submission.progress()), Some(Progress { done: 1, total: 1 }), "it did not begin");
    submission
}

/// Whether a submission is over already.
pub(super) fn is_over<T>(submission: &mut Submission<T>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(submission).poll(&mut context).is_ready()
}

/// A task that occupies one server.
pub(super) struct Held(Submission<()>);

/// Occupies a server; returns when the task runs.
pub(super) fn hold(executor: &impl Executor) -> Held {
    Held(begun(executor.submit(Hold)))
}

impl Held {
    /// The server is free again, or soon.
    pub(super) fn release(self) {
        self.0.cancel();
        assert_eq!(end_of(self.0), Err(TaskError::Cancelled));
    }
}

/// Counts runs of [`Count`] on an executor with one server.
pub(super) struct Counter<'e, E>(&'e E, (u32, u64));

impl<'e, E: Executor> Counter<'e, E> {
    pub(super) fn new(executor: &'e E) -> Counter<'e, E> {
        Counter(executor, end_of(executor.submit(Count)).unwrap())
    }

    /// How many have run since this was asked last.
    pub(super) fn since(&mut self) -> u64 {
        let (process, before) = self.1;
        self.1 = end_of(self.0.submit(Count)).unwrap();
        // A new process has counted from 0.
        let before = if self.1.0 == process { before } else { 0 };
        self.1.1 - before - 1
    }
}

/// All results, in the order of the submissions.
pub(super) fn ends_of<T: Task>(
    submissions: impl IntoIterator<Item = Submission<T::Output>>,
) -> Vec<Result<T::Output, TaskError>> {
    submissions.into_iter().map(end_of).collect()
}
