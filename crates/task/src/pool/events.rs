//! [`PoolEvent`]: what happens to the processes of a pool, for logs.

use std::fmt;
use std::time::Duration;

use crate::{Crash, TaskId};

/// Something that happened to a job process. Told on the keeper's thread: return soon, and do not block.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A process runs and has said hello.
    Started {
        /// Its process id.
        pid: u32,
        /// What it is truly denied.
        confinement: phalanx_process::Confinement,
    },
    /// A process could not be started, or ended before it said hello.
    StartFailed {
        /// Why.
        reason: String,
        /// So many in a row.
        failures: u32,
        /// When the next is tried.
        again_in: Duration,
    },
    /// A process ended that should not have.
    Crashed {
        /// Its process id.
        pid: u32,
        /// Name and number of the task that it ran, if it ran one.
        task: Option<(&'static str, TaskId)>,
        /// How it ended.
        crash: Crash,
    },
    /// A process was killed because its task did not stop in time.
    Killed {
        /// Its process id.
        pid: u32,
        /// Name and number of the task.
        task: (&'static str, TaskId),
        /// Why the task had to stop.
        why: Killed,
    },
    /// A process was replaced, or will be when it is needed again.
    Recycled {
        /// Its process id.
        pid: u32,
        /// Tasks that it has run.
        jobs: u64,
        /// Why.
        why: Recycled,
    },
    /// An input has killed its process so often that it is not tried again.
    Poisoned {
        /// Name of the task.
        task: &'static str,
        /// How often.
        crashes: u32,
    },
}

/// Why a task had to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Killed {
    /// Its deadline passed.
    Late,
    /// Nobody wanted its result any more.
    Cancelled,
}

/// Why a process was ended by the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recycled {
    /// It has run as many tasks as it may.
    Jobs,
    /// It holds more memory than it may between two tasks.
    Memory {
        /// Resident bytes.
        resident: u64,
    },
    /// It did not give back the memory of its inputs, so that there was no room for the next.
    Inputs,
    /// It did not begin a task for two seconds: somebody has stopped it, or a task before has broken it.
    Stuck,
    /// It had nothing to do for a while.
    Idle,
    /// It made room for a process of another sandbox level.
    OtherLevel,
}

impl fmt::Display for PoolEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolEvent::Started { pid, confinement } => write!(f, "job process {pid} runs; sandbox {confinement}"),
            PoolEvent::StartFailed { reason, failures, again_in } => {
                write!(f, "no job process could be started ({failures} in a row): {reason}; again in {again_in:.1?}")
            }
            PoolEvent::Crashed { pid, task: Some((task, id)), crash } => {
                write!(f, "job process {pid} died of task {id} ({task}): {crash}")
            }
            PoolEvent::Crashed { pid, task: None, crash } => {
                write!(f, "job process {pid} died without a task: {}", crash.ending)
            }
            PoolEvent::Killed { pid, task: (task, id), why } => {
                write!(f, "job process {pid} was killed: task {id} ({task}) did not stop; {why}")
            }
            PoolEvent::Recycled { pid, jobs, why } => {
                write!(f, "job process {pid} was ended after {jobs} tasks: {why}")
            }
            PoolEvent::Poisoned { task, crashes } => {
                write!(f, "an input of task {task} has killed its process {crashes} times and is refused from now on")
            }
        }
    }
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Killed::Late => "its deadline had passed",
            Killed::Cancelled => "nobody wanted its result any more",
        })
    }
}

impl fmt::Display for Recycled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recycled::Jobs => f.write_str("as many as a process may run"),
            Recycled::Memory { resident } => write!(f, "it held {resident} bytes of memory"),
            Recycled::Inputs => f.write_str("it kept its inputs"),
            Recycled::Stuck => f.write_str("it did not begin the next one"),
            Recycled::Idle => f.write_str("it had nothing to do"),
            Recycled::OtherLevel => f.write_str("a task needed a process of another sandbox level"),
        }
    }
}
