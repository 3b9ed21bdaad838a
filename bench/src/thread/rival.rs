//! What is measured, and in what.

use clap::ValueEnum;
use measuring::Failure;

/// Who does it. Which of them take part in a measure is the business of `phalanx-bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rival {
    /// Ours, as the first page of its crate shows it
    Phalanx,
    /// The pool, with both deadlines and a priority on every job
    PhalanxFull,
    /// A port, on threads without an event loop
    PhalanxBlocking,
    /// The port that every worker has
    PhalanxWorker,
    /// The same in two processes
    PhalanxProcesses,
    /// The ring, with waits that never end by themselves
    PhalanxForever,
    /// `tokio::task::spawn_blocking`
    SpawnBlocking,
    /// rayon and a oneshot
    Rayon,
    /// kanal and a oneshot
    Kanal,
    /// crossbeam-channel; for a pool, and a oneshot
    Crossbeam,
    /// `tokio::sync::mpsc`
    TokioMpsc,
    /// A bare futex, two threads
    Futex,
    /// A bare futex, two processes
    FutexProcesses,
    /// Bare shared memory that both processes look at without a pause
    SpinningProcesses,
    /// The crate ipc-channel
    IpcChannel,
    /// The crate iceoryx2
    Iceoryx2,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measure {
    /// Empty jobs a second, one after the other, and how long each takes
    PoolLone,
    /// Empty jobs a second, 64 at any time
    PoolCrowd,
    /// Microseconds from the start of a worker to its first message
    WorkerStart,
    /// KiB for each of 50 workers
    WorkerMemory,
    /// KiB that are left after many workers were created and ended
    WorkerCycles,
    /// Round trips a second of a number
    PortValue,
    /// Round trips a second of 8 bytes that are moved
    PortEight,
    /// Round trips a second of 1 MiB that is moved
    PortMebibyte,
    /// Additions a second to one word, both sides together
    Add,
    /// Round trips a second by wait and notify
    Wait,
    /// Round trips a second by looking again and again
    Spin,
    /// Round trips a second of 64 bytes between two processes
    Ring,
}

/// The name on the command line.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Rival {
    pub(crate) fn word(self) -> String {
        word(&self)
    }

    /// It was asked for what it does not have.
    pub(crate) fn has_no(self, measure: Measure) -> Failure {
        Failure::new(format!("{} has no {}", self.word(), measure.word()))
    }
}

impl Measure {
    pub(crate) fn word(self) -> String {
        word(&self)
    }
}
