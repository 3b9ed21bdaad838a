//! [`TaskError`]: how a task can end without an output. The same on a thread, in a process, and from a queue.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes of a text of an error that travel to another process; the rest is cut off.
const LONGEST_TEXT: usize = 8 * 1024;

/// Why there is no output. Texts of a task that are longer than 8 KiB lose their ends on the way from another process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TaskError {
    /// The task says so.
    Failed {
        /// In its own words.
        message: String,
    },
    /// The task panicked. Nothing else is harmed.
    Panicked {
        /// What it said.
        message: String,
        /// `file:line:column`, if it is known.
        location: Option<String>,
    },
    /// The process that ran the task died of it, or was killed because it did what it must not. No other task is harmed.
    Crashed(Crash),
    /// A deadline passed.
    TimedOut(Phase),
    /// The task was never begun.
    Refused(Refusal),
    /// The caller said so, or the executor was given up.
    Cancelled,
}

/// Where a task was when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It waited and never ran.
    Queue,
    /// It ran.
    Run,
}

/// How a job process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// What ended it.
    pub ending: Ending,
    /// The end of what it wrote to standard error, at most 4 KiB, as text.
    pub stderr_tail: String,
}

/// What ended a job process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ending {
    /// A signal, by its number: 11 (SIGSEGV), 6 (SIGABRT), 9 (SIGKILL, also by the kernel when memory is short), 24
    /// (SIGXCPU, out of processor time).
    Signal(i32),
    /// It left by itself, with this code.
    Exit(i32),
    /// What it answered made no sense, and it was killed.
    Malformed(String),
}

/// Why a task was not begun. Nothing of it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// As many wait as may.
    Full {
        /// Tasks that wait.
        queued: usize,
        /// How many may.
        limit: usize,
    },
    /// It would wait longer than the executor allows.
    TooLongWait {
        /// How long it would wait at the speed measured now.
        predicted: Duration,
        /// How long a task may.
        limit: Duration,
        /// When to come back: for a `Retry-After`.
        retry_after: Duration,
    },
    /// This very input has killed its process so often that it is not tried again.
    Poison {
        /// How often.
        crashes: u32,
    },
    /// Input or output is larger than the executor takes.
    TooBig {
        /// Bytes of it.
        bytes: u64,
        /// Bytes that are taken.
        limit: u64,
    },
    /// A task of the same idempotency key has not ended yet.
    Duplicate,
    /// The registry that was given to `init_with` does not name this task.
    Unknown {
        /// The task.
        task: String,
    },
    /// No thread or process could be started to run it.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// The executor drains or is gone.
    ShuttingDown,
    /// The queue could not be reached, or did not confirm in time.
    Unavailable {
        /// What it, or the system, says.
        reason: String,
    },
    /// The input cannot be read as that of this task: another version of the program made it, or it was damaged on the way.
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl TaskError {
    /// The error of a task in its own words: `.map_err(TaskError::failed)?`.
    pub fn failed(message: impl fmt::Display) -> TaskError {
        TaskError::Failed { message: message.to_string() }
    }

    /// With no text longer than 8 KiB: for executors in other processes.
    pub fn shortened(self) -> TaskError {
        match self {
            TaskError::Failed { message } => TaskError::Failed { message: cut(message) },
            TaskError::Panicked { message, location } => {
                TaskError::Panicked { message: cut(message), location: location.map(cut) }
            }
            TaskError::Crashed(mut crash) => {
                crash.stderr_tail = cut(crash.stderr_tail);
                if let Ending::Malformed(what) = crash.ending {
                    crash.ending = Ending::Malformed(cut(what));
                }
                TaskError::Crashed(crash)
            }
            TaskError::Refused(refusal) => TaskError::Refused(refusal.shortened()),
            TaskError::TimedOut(_) | TaskError::Cancelled => self,
        }
    }

    /// When to come back, if the executor can say so: for a `Retry-After`.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            TaskError::Refused(Refusal::TooLongWait { retry_after, .. }) => Some(*retry_after),
            _ => None,
        }
    }
}

impl Refusal {
    fn shortened(self) -> Refusal {
        match self {
            Refusal::Unknown { task } => Refusal::Unknown { task: cut(task) },
            Refusal::NotStarted { reason } => Refusal::NotStarted { reason: cut(reason) },
            Refusal::Unavailable { reason } => Refusal::Unavailable { reason: cut(reason) },
            Refusal::Unreadable { reason } => Refusal::Unreadable { reason: cut(reason) },
            other => other,
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Failed { message } => write!(f, "the task failed: {message}"),
            TaskError::Panicked { message, location: Some(location) } => {
                write!(f, "the task panicked at {location}: {message}")
            }
            TaskError::Panicked { message, location: None } => write!(f, "the task panicked: {message}"),
            TaskError::Crashed(crash) => crash.fmt(f),
            TaskError::TimedOut(Phase::Queue) => f.write_str("the deadline of the task passed while it waited"),
            TaskError::TimedOut(Phase::Run) => f.write_str("the deadline of the task passed while it ran"),
            TaskError::Refused(refusal) => refusal.fmt(f),
            TaskError::Cancelled => f.write_str("the task was cancelled"),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task killed its process: {}", self.ending)?;
        match self.stderr_tail.trim_end().lines().next_back() {
            Some(line) => write!(f, "; its last words: {line}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Signal(signal) => match phalanx_process::Signal::name_of(*signal) {
                Some(signal) => write!(f, "{signal}"),
                None => write!(f, "signal {signal}"),
            },
            Ending::Exit(code) => write!(f, "it exited with {code} instead of an answer"),
            Ending::Malformed(what) => write!(f, "its answer made no sense ({what}), so it was killed"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was refused: ")?;
        match self {
            Refusal::Full { queued, limit } => write!(f, "{queued} tasks wait, {limit} may; try again later"),
            Refusal::TooLongWait { predicted, limit, retry_after } => {
                write!(f, "it would wait {predicted:.1?}, {limit:.1?} is allowed; try again in {retry_after:.1?}")
            }
            Refusal::Poison { crashes } => {
                write!(f, "this input has killed its process {crashes} times; it is not tried again")
            }
            Refusal::TooBig { bytes, limit } => write!(f, "it has {bytes} bytes, and {limit} are taken"),
            Refusal::Duplicate => f.write_str("one of the same idempotency key has not ended yet; await that one"),
            Refusal::Unknown { task } => {
                write!(f, "no task \"{task}\" is registered; add it to tasks![…] in init_with at the start of main")
            }
            Refusal::NotStarted { reason } => write!(f, "nothing could be started to run it: {reason}"),
            Refusal::ShuttingDown => f.write_str("the executor is shutting down"),
            Refusal::Unavailable { reason } => write!(f, "the queue is not available: {reason}; try again later"),
            Refusal::Unreadable { reason } => {
                write!(f, "its input cannot be read: {reason}; bring all programs to the same version")
            }
        }
    }
}

impl std::error::Error for TaskError {}
impl std::error::Error for Refusal {}

impl From<Refusal> for TaskError {
    fn from(refusal: Refusal) -> TaskError {
        TaskError::Refused(refusal)
    }
}

impl From<Crash> for TaskError {
    fn from(crash: Crash) -> TaskError {
        TaskError::Crashed(crash)
    }
}
