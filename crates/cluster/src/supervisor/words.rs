//! The words of supervision: what can happen ([`Input`]), and what is to be done ([`Action`]).

use std::fmt;
use std::time::Duration;

use phalanx_memory::Resource;
use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;

use crate::event::ExitReason;
use crate::{Place, WorkerId};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The cluster begins with this many places.
    Start {
        /// Number of workers wanted.
        workers: usize,
    },
    /// One more place is wanted.
    Fork,
    /// A worker says that it can serve.
    Ready(WorkerId),
    /// A worker says that it serves a listener, so that it will be replaced whatever code it exits with.
    Listening(WorkerId),
    /// A worker says why it cannot go on; it is about to exit.
    Failed(WorkerId, String),
    /// A worker's process has ended.
    Exited(WorkerId, ExitStatus),
    /// A worker could not be started.
    SpawnFailed(WorkerId, String),
    /// A worker seems to leak.
    Leaks(WorkerId, Resource),
    /// The kernel has ended a worker because of its limit of memory, in these words; its end is about to follow.
    OutOfMemory(WorkerId, String),
    /// The user wants a worker to leave for good.
    Disconnect(WorkerId),
    /// The user wants all workers to leave for good.
    DisconnectAll,
    /// The code in the primary has returned: it will fork no more workers.
    CodeEnded,
    /// So many bytes of memory are free, for more workers among others. Told before the tick; without it there is no shortage.
    HeadRoom(u64),
    /// A second has passed; what each worker's page of the scoreboard says.
    Tick(Vec<Vitals>),
    /// The answer to [`Action::Probe`]: healthy, or why not.
    Probed(WorkerId, Result<(), String>),
    /// Replace every worker, new first, as operation of this number, with workers of this generation. Answered by
    /// [`Action::Over`], at once if it cannot begin.
    Reload {
        /// The number of the operation.
        operation: u64,
        /// The generation of the new workers; grows with every attempt.
        generation: u32,
    },
    /// This many places are wanted from now on. Answered by [`Action::Over`].
    Scale {
        /// The number of the operation.
        operation: u64,
        /// Places wanted; at least 1.
        workers: usize,
    },
    /// The first input instead of [`Start`](Self::Start) after the primary was replaced in place: what
    /// [`Supervisor::heritage`](super::Supervisor::heritage) of the old image said.
    Adopt(Heritage),
    /// The time that [`Supervisor::wakes_at`](super::Supervisor::wakes_at) named has come.
    Elapsed,
    /// Finish what is under way and stop.
    Stop,
    /// Stop at once.
    StopNow,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Start a worker process. [`Input::SpawnFailed`] if that fails.
    Spawn(Birth),
    /// Ask a held worker, or the user's command, whether it is healthy. Answered by [`Input::Probed`].
    Probe(WorkerId),
    /// Let a held worker accept connections.
    Admit(WorkerId),
    /// A worker hangs: write down where its threads are. It is killed [`Policy::hung_grace`](super::Policy::hung_grace)
    /// later, unless its event loop turns again.
    DumpStacks(WorkerId),
    /// A worker has had its share and is replaced, new first; it is told to leave when its successor serves.
    Recycle(WorkerId, RecycleReason),
    /// A worker is to be replaced, and there is no memory for its successor beside it. Said once of a worker; it waits for
    /// [`Policy::room_patience`](super::Policy::room_patience) at most, and then leaves before its successor starts if all
    /// other places serve.
    ShortOfMemory {
        /// The worker.
        worker: WorkerId,
        /// What it uses, and a margin, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// The operation of this number is over: it did what was asked, or failed and left, or restored, the old workers.
    Over {
        /// The number of the operation.
        operation: u64,
        /// Done, or why not.
        result: Result<(), String>,
    },
    /// Tell a worker to stop accepting, to finish what it has, and to exit within the time.
    Drain(WorkerId, Departure, Duration),
    /// End a worker with SIGKILL.
    Kill(WorkerId, KillReason),
    /// A worker is gone: sweep its permits and clear its page of the scoreboard.
    Bury(WorkerId, ExitReason),
    /// The place waits this long before its next start.
    BackOff(Place, Duration),
    /// The place's workers died too often before they were ready: it is tried again after this time.
    Break(Place, Duration),
    /// The place's worker said ([`DO_NOT_RESTART`]) that to start it again is of no use: only a reload tries it again.
    GiveUp(Place),
    /// No worker has lived for too long: close the listeners, so that clients fail fast. A later spawn opens them.
    CloseListeners,
    /// All is over.
    Finish(Outcome),
}

/// Exit code of a worker that must not be started again (`EX_CONFIG` of `sysexits.h`).
pub const DO_NOT_RESTART: i32 = 78;

/// Exit code of a worker whose settings cannot work (`EX_USAGE` of `sysexits.h`): at the very first start there is no
/// point in trying the others.
pub const BAD_SETTINGS: i32 = 64;

/// A worker that is to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// Its number, never used before.
    pub worker: WorkerId,
    /// The seat that it takes.
    pub place: Place,
    /// Its page of the scoreboard, which no other live process has.
    pub page: SlotIndex,
    /// Which settings it gets.
    pub generation: u32,
    /// Whether it accepts nothing before it is admitted.
    pub held: bool,
}

/// What a worker's page says at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// The worker.
    pub worker: WorkerId,
    /// Grows while its event loop turns.
    pub beat: u64,
    /// Requests begun since it started.
    pub requests: u64,
    /// Resident memory in bytes; 0 if it was not sampled yet.
    pub resident_bytes: u64,
    /// Who holds it below [`Policy::hard_memory`](super::Policy::hard_memory).
    pub holder: Holder,
}

/// Who holds a worker below its hard limit of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The kernel: the worker is in a control group of its own, and its job processes with it.
    Kernel,
    /// The primary, which looks at the worker's own resident memory at each tick.
    Primary,
}

/// What a new image of the primary has to know of the cluster that the old one kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heritage {
    /// The number of the next worker.
    pub next_worker: u32,
    /// The generation that new places begin with.
    pub generation: u32,
    /// The places that are wanted, with or without a worker.
    pub places: Vec<Inherited>,
    /// The workers that live.
    pub workers: Vec<Adopted>,
}

/// A place of the old image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited {
    /// The place.
    pub place: Place,
    /// The generation of its workers.
    pub generation: u32,
    /// If it has no worker: when the next one is started.
    pub next_try: NextTry,
}

/// When a place without a worker gets its next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextTry {
    /// After this time.
    In(Duration),
    /// Not before a reload: its worker asked not to be started again.
    AtReload,
}

/// A worker that an earlier image of the primary started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adopted {
    /// What it was started as.
    pub birth: Birth,
    /// How far it was.
    pub stage: Stage,
    /// Whether it said that it serves a listener.
    pub listens: bool,
}

/// How far an adopted worker was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not ready.
    Starting,
    /// Ready.
    Ready,
    /// Told to leave.
    Leaving,
    /// Sent SIGKILL.
    Killed,
}

/// Why a worker is told to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It alone leaves; the others take the connections that wait.
    Alone,
    /// The whole cluster stops: it takes the connections that already wait, first.
    WithAll,
}

/// Why a worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillReason {
    /// It did not become ready in time.
    Boot,
    /// It was to replace another worker, and its health gate said no, or nothing in time.
    Gate,
    /// Its event loop stands still.
    Hung,
    /// It uses more memory than [`Policy::hard_memory`](super::Policy::hard_memory).
    Memory,
    /// It did not finish its drain in time.
    Drain,
    /// Too many older workers drain; it is the oldest.
    OldGeneration,
    /// It was to replace another worker, which is not replaced after all.
    Unneeded,
    /// The cluster stops at once.
    StopNow,
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KillReason::Boot => "it did not become ready in time",
            KillReason::Gate => "its health gate did not pass",
            KillReason::Hung => "its event loop stands still",
            KillReason::Memory => "it uses more memory than the hard limit",
            KillReason::Drain => "it did not finish in time",
            KillReason::OldGeneration => "it is the oldest of too many that drain",
            KillReason::Unneeded => "the worker that it was to replace is not replaced after all",
            KillReason::StopNow => "the cluster stops at once",
        })
    }
}

/// Why a worker is recycled. Each limit is drawn anew for each worker, 10 % around the one that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecycleReason {
    /// It has begun this many requests.
    Requests(u64),
    /// It has served this long.
    Lifetime(Duration),
    /// Its resident memory, in bytes, is above the soft limit.
    Memory(u64),
    /// A leak is suspected, and [`Policy::recycle_leaks`](super::Policy::recycle_leaks) says that this is enough.
    Leak(Resource),
}

impl fmt::Display for RecycleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecycleReason::Requests(count) => write!(f, "it has begun {count} requests"),
            RecycleReason::Lifetime(served) => write!(f, "it has served for {} s", served.as_secs()),
            RecycleReason::Memory(bytes) => write!(f, "it uses {} MiB of memory", bytes >> 20),
            RecycleReason::Leak(resource) => write!(f, "it leaks {resource}"),
        }
    }
}

/// How a cluster ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was told to stop, or all its workers have finished.
    Done,
    /// At the very first start no worker became ready.
    FirstStartFailed {
        /// How the last of them ended.
        status: Option<ExitStatus>,
        /// What it said of it.
        error: Option<String>,
    },
    /// Every worker asked not to be started again.
    GivenUp {
        /// What the last of them said of it.
        error: Option<String>,
    },
}
