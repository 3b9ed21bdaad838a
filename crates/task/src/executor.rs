//! [`Executor`]: where tasks run.

use crate::{Submission, SubmitOptions, Task};

/// Pools never try again by themselves.
pub(crate) const FIRST_ATTEMPT: u32 = 1;

/// A place where tasks run: a [`ThreadPool`](phalanx_thread::ThreadPool), a `ProcessPool`, a queue.
///
/// A refusal (full, poison, shutting down) is the submission's result: it is there at once.
pub trait Executor {
    /// Submits a task on the default terms.
    fn submit<T: Task>(&self, task: T) -> Submission<T::Output> {
        self.submit_with(task, SubmitOptions::default())
    }

    /// Submits a task on these terms. Never waits.
    fn submit_with<T: Task>(&self, task: T, options: SubmitOptions) -> Submission<T::Output>;
}

impl<E: Executor + ?Sized> Executor for &E {
    fn submit_with<T: Task>(&self, task: T, options: SubmitOptions) -> Submission<T::Output> {
        (**self).submit_with(task, options)
    }
}

impl<E: Executor + ?Sized> Executor for std::sync::Arc<E> {
    fn submit_with<T: Task>(&self, task: T, options: SubmitOptions) -> Submission<T::Output> {
        (**self).submit_with(task, options)
    }
}
