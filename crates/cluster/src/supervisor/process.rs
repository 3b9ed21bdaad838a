//! One worker process: the part that it plays at its place, how far it is, and what its end means.

use phalanx_process::ExitStatus;

use super::recycle::Share;
use phalanx_memory::Resource;

use super::{Birth, DO_NOT_RESTART, KillReason, Now, Policy, Purpose, RecycleReason};

/// SIGKILL, which no program sends itself: the operator, the kernel's OOM killer, a test.
const SIGKILL: i32 = 9;

/// The part that a process plays at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It holds the place: what becomes of it becomes of the place.
    Current,
    /// It is to take the place over, once it has shown that it can.
    Successor,
    /// The place is no longer its own: it drains, or dies.
    Past,
}

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// It is not ready yet.
    Booting { kill_at: Now },
    /// It is ready, accepts nothing, and its health gate was asked.
    Probing { kill_at: Now },
    /// It serves.
    Serving { since: Now },
    /// It serves, or should: its event loop stands still, and it was asked where.
    Hung { since: Now, kill_at: Now },
    /// It was told to leave.
    Draining { kill_at: Now },
    /// It was sent SIGKILL; what its end will mean.
    Dying { end: End },
}

impl State {
    pub(super) fn wakes_at(&self) -> Option<Now> {
        match self {
            State::Booting { kill_at }
            | State::Probing { kill_at }
            | State::Hung { kill_at, .. }
            | State::Draining { kill_at } => Some(*kill_at),
            State::Serving { .. } | State::Dying { .. } => None,
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            State::Booting { .. } => "starting",
            State::Probing { .. } => "probed",
            State::Serving { .. } => "serving",
            State::Hung { .. } => "hung",
            State::Draining { .. } => "draining",
            State::Dying { .. } => "killed",
        }
    }
}

/// What the end of a process means for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to leave.
    Voluntary,
    /// It exited with 0 and never served: its work is done.
    Finished,
    /// It asked not to be started again.
    DoNotRestart,
    /// It died while it served: it is replaced at once.
    Crash,
    /// It died before it was ready.
    BeforeReady,
    /// It died within a moment of being ready, and not by an outside SIGKILL.
    TooSoon,
}

/// A process that exists.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) birth: Birth,
    pub(super) part: Part,
    pub(super) state: State,
    /// Since when it is in this state.
    pub(super) entered: Now,
    /// Whether it serves a listener.
    pub(super) listens: bool,
    /// What it said when it failed, or what we say of why we killed it.
    pub(super) last_error: Option<String>,
    /// The heartbeat at the last tick, and the ticks since it last changed.
    pub(super) beat: u64,
    pub(super) silent_ticks: u32,
    /// Its resident memory at the last tick; 0 before that.
    pub(super) resident_bytes: u64,
    /// When it has had its share, and whether it has.
    pub(super) share: Share,
    pub(super) due: Option<RecycleReason>,
    /// Whether the kernel ended it because of its limit of memory.
    pub(super) outgrew: bool,
    /// What it seems to leak.
    pub(super) leaks: Option<Resource>,
}

impl Process {
    pub(super) fn new(birth: Birth, part: Part, state: State, now: Now, share: Share) -> Process {
        Process {
            birth,
            part,
            state,
            entered: now,
            listens: false,
            last_error: None,
            beat: 0,
            silent_ticks: 0,
            resident_bytes: 0,
            share,
            due: None,
            outgrew: false,
            leaks: None,
        }
    }

    pub(super) fn enter(&mut self, state: State, now: Now) {
        (self.state, self.entered) = (state, now);
    }

    /// The index of its place.
    pub(super) fn seat(&self) -> usize {
        usize::from(self.birth.place.0)
    }

    /// Whether it takes connections, or did until a moment ago.
    pub(super) fn serves(&self) -> bool {
        matches!(self.state, State::Serving { .. } | State::Hung { .. })
    }

    /// What its end means if it ends now by itself, with this status; `None` if it could not even be started.
    pub(super) fn end(&self, status: Option<ExitStatus>, now: Now, policy: &Policy) -> End {
        match (self.state, status) {
            (State::Draining { .. }, _) => End::Voluntary,
            (State::Dying { end }, _) => end,
            (_, Some(ExitStatus::Code(DO_NOT_RESTART))) => End::DoNotRestart,
            (State::Booting { .. } | State::Probing { .. }, _) if policy.purpose == Purpose::Serve => End::BeforeReady,
            (_, Some(ExitStatus::Code(0))) if !self.listens => End::Finished,
            (State::Booting { .. } | State::Probing { .. }, _) => End::BeforeReady,
            (_, Some(ExitStatus::Signal(SIGKILL))) if !self.outgrew => End::Crash,
            (State::Serving { since } | State::Hung { since, .. }, _) => End::after_service(since, now, policy),
        }
    }

    /// What its end means if we kill it now for this reason.
    pub(super) fn end_by(&self, reason: KillReason, now: Now, policy: &Policy) -> End {
        match (reason, self.state) {
            (KillReason::Drain | KillReason::OldGeneration | KillReason::Unneeded | KillReason::StopNow, _)
            | (_, State::Draining { .. }) => End::Voluntary,
            (_, State::Dying { end }) => end,
            (_, State::Booting { .. } | State::Probing { .. }) => End::BeforeReady,
            (KillReason::Memory, State::Serving { since } | State::Hung { since, .. }) => {
                End::after_service(since, now, policy)
            }
            _ => End::Crash,
        }
    }

    /// How long it has served.
    pub(super) fn served(&self, now: Now) -> Option<std::time::Duration> {
        match self.state {
            State::Serving { since } | State::Hung { since, .. } => Some(now.saturating_sub(since)),
            _ => None,
        }
    }
}

impl End {
    /// Whether nothing went wrong: the place is to be empty.
    pub(super) fn is_wanted(self) -> bool {
        matches!(self, End::Voluntary | End::Finished)
    }

    fn after_service(since: Now, now: Now, policy: &Policy) -> End {
        if now.saturating_sub(since) < policy.too_soon { End::TooSoon } else { End::Crash }
    }
}
