//! [`PoolError`]: why there is no pool.

use std::fmt;

/// A pool of processes could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// `init_with` was not called at the start of `main`.
    NotInitialized,
    /// This process is a job process itself, and those start no pools.
    InJobProcess,
    /// The registry that was given to `init_with` names no task.
    NoTasks,
    /// A setting makes no sense.
    Setting {
        /// Which one.
        name: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// [`SandboxPolicy::Require`](crate::SandboxPolicy::Require), and the sandbox is not whole here.
    Sandbox {
        /// The level that a task asks for.
        level: crate::Sandbox,
        /// What it has not here, and why.
        missing: String,
    },
    /// Not even one process could be started.
    Start {
        /// Why.
        reason: String,
    },
    /// The system refused what the pool itself needs.
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What came back.
        source: std::io::Error,
    },
}

impl PoolError {
    pub(crate) fn system(attempt: &'static str, source: impl Into<std::io::Error>) -> PoolError {
        PoolError::System { attempt, source: source.into() }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot build a pool of processes: ")?;
        match self {
            PoolError::NotInitialized => f.write_str(
                "call phalanx::init_with(tasks![…]) in the first line of main, so that a job process knows its part",
            ),
            PoolError::InJobProcess => {
                f.write_str("a job process starts no pools; submit the tasks in the process that owns it")
            }
            PoolError::NoTasks => f.write_str("no task is registered; name them: init_with(tasks![…])"),
            PoolError::Setting { name, problem } => write!(f, "{name}: {problem}"),
            PoolError::Sandbox { level, missing } => write!(
                f,
                "the sandbox \"{level}\" is required, and has no {missing}; use a newer kernel, or SandboxPolicy::Prefer to run \
                 with what there is"
            ),
            PoolError::Start { reason } => write!(f, "no process could be started: {reason}"),
            PoolError::System { attempt, source } => write!(f, "{attempt}: {source}"),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
