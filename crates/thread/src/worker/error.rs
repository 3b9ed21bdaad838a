//! [`SpawnError`]: why a worker could not be started.

use std::fmt;
use std::io;

/// Why a worker could not be started. Nothing of it ran.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting is outside of what makes sense.
    Setting {
        /// Which setting of the builder.
        name: &'static str,
        /// What is wrong and what to give instead.
        problem: String,
    },
    /// The operating system gave no thread.
    Thread {
        /// Name of the worker.
        worker: String,
        /// What it said.
        source: io::Error,
    },
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Setting { name, problem } => write!(f, "cannot start the worker: {name}: {problem}"),
            SpawnError::Thread { worker, source } => write!(
                f,
                "cannot start worker {worker}: the system gave no thread: {source}; raise the limit of processes \
                 (ulimit -u, pids.max), give it a smaller stack, or use a thread pool"
            ),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpawnError::Setting { .. } => None,
            SpawnError::Thread { source, .. } => Some(source),
        }
    }
}
