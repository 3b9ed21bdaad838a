//! What is measured, and in what.

use clap::ValueEnum;
use measuring::Failure;

/// Who does it. Which of them take part in a measure is the business of `phalanx-bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rival {
    /// `ProcessPool`, fully sandboxed or an error
    Processes,
    /// `ProcessPool` without a sandbox
    ProcessesBare,
    /// `ThreadPool` through `Executor`
    Threads,
    /// `ThreadPool::spawn`
    Spawn,
    /// The pool of the crate procspawn
    Procspawn,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Empty tasks a second, one after the other, and how long each takes
    Lone,
    /// Empty tasks a second, 64 at any time on two processes
    Crowd,
    /// MB/s of 1 KiB in and out, two at any time on two processes
    Kibibyte,
    /// MB/s of 64 KiB in and out
    Kibibytes64,
    /// MB/s of 1 MiB in and out
    Mebibyte,
    /// MB/s of 16 MiB in and out
    Mebibytes16,
    /// From nothing to the first result of a new pool of one
    Start,
    /// From SIGKILL of the only process to the next result
    Crash,
    /// Photos a second, four at any time on two processes
    Photo,
}

impl Rival {
    /// It was asked for what it does not have.
    pub(crate) fn has_no(self, measure: Measure) -> Failure {
        Failure::new(format!("{self:?} has no {measure:?}"))
    }
}

impl Measure {
    /// Of one payload, if there is any.
    pub(crate) fn payload_bytes(self) -> usize {
        match self {
            Self::Kibibyte => 1 << 10,
            Self::Kibibytes64 => 64 << 10,
            Self::Mebibyte => 1 << 20,
            Self::Mebibytes16 => 16 << 20,
            _ => 0,
        }
    }
}
