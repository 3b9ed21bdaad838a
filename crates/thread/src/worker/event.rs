//! [`WorkerEvent`]: what a worker tells its parent, in the order in which it happened. [`WorkerError`].

use std::fmt;

/// What happens to a worker, in one order: [`Online`](WorkerEvent::Online) first, messages as they were posted, then at
/// most one [`Error`](WorkerEvent::Error), and [`Exit`](WorkerEvent::Exit) last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent<Out> {
    /// Its thread runs, its body begins.
    Online,
    /// It posted this.
    Message(Out),
    /// Its body panicked or returned an error. The exit code will be 1.
    Error(WorkerError),
    /// It has ended, with this exit code: 0, what it gave to [`exit`](crate::WorkerScope::exit) or returned, or 1 after
    /// an error and after [`terminate`](crate::Worker::terminate).
    Exit(i32),
}

/// The error that ended a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerError {
    /// What the panic or the error said.
    pub message: String,
    /// Where it panicked, as `file:line:column`; `None` for an error that was returned, or if the program has set a
    /// panic hook of its own after ours.
    pub location: Option<String>,
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "the worker panicked at {location}: {}", self.message),
            None => write!(f, "the worker ended with an error: {}", self.message),
        }
    }
}

impl std::error::Error for WorkerError {}
