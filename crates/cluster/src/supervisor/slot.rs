//! One place for a worker: what is in it now, and what its history says about the next start.

use std::collections::VecDeque;
use std::time::Duration;

use phalanx_process::ExitStatus;

use super::{Now, Policy};
use crate::WorkerId;

/// SIGKILL, which no program sends itself: the operator, the kernel's OOM killer, a test.
const SIGKILL: i32 = 9;

/// What is in a slot.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Nothing, and nothing will be.
    Vacant,
    /// A process that is not ready yet.
    Booting { worker: WorkerId, kill_at: Now },
    /// A worker that serves.
    Serving { worker: WorkerId, since: Now, beat: u64, silent_ticks: u32 },
    /// A worker that was told to leave.
    Draining { worker: WorkerId, since: Now, kill_at: Now },
    /// A process that was sent SIGKILL, and what its end will mean.
    Dying { worker: WorkerId, end: End },
    /// Nothing until the back-off is over.
    Waiting { until: Now },
    /// Nothing until the breaker lets a probe through.
    Broken { probe_at: Now },
}

impl State {
    pub(super) fn worker(&self) -> Option<WorkerId> {
        match self {
            State::Booting { worker, .. }
            | State::Serving { worker, .. }
            | State::Draining { worker, .. }
            | State::Dying { worker, .. } => Some(*worker),
            State::Vacant | State::Waiting { .. } | State::Broken { .. } => None,
        }
    }

    pub(super) fn wakes_at(&self) -> Option<Now> {
        match self {
            State::Booting { kill_at, .. } | State::Draining { kill_at, .. } => Some(*kill_at),
            State::Waiting { until } => Some(*until),
            State::Broken { probe_at } => Some(*probe_at),
            State::Vacant | State::Serving { .. } | State::Dying { .. } => None,
        }
    }
}

/// What an exit means for the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was told to leave: the slot stays empty.
    Voluntary,
    /// It exited with 0 and never served: its work is done.
    Finished,
    /// It died while it served: it is replaced at once.
    Crash,
    /// It died before it was ready.
    BeforeReady,
    /// It died within a moment of being ready, and not by an outside SIGKILL.
    TooSoon,
}

/// A place for a worker.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) state: State,
    /// Starts so far.
    pub(super) attempts: u32,
    /// Whether the present worker serves a listener.
    pub(super) serves: bool,
    /// What the present or last worker said when it failed.
    pub(super) last_error: Option<String>,
    /// Consecutive deaths that the back-off counts.
    failures: u32,
    /// Recent deaths before ready, for the breaker; never more than it needs.
    early_deaths: VecDeque<Now>,
}

impl Slot {
    pub(super) fn vacant() -> Slot {
        Slot {
            state: State::Vacant,
            attempts: 0,
            serves: false,
            last_error: None,
            failures: 0,
            early_deaths: VecDeque::new(),
        }
    }

    pub(super) fn begin(&mut self, state: State) {
        self.state = state;
        self.attempts += 1;
        self.serves = false;
        self.last_error = None;
    }

    pub(super) fn classify(&mut self, status: Option<ExitStatus>, now: Now, policy: &Policy) -> End {
        match self.state {
            State::Draining { .. } => End::Voluntary,
            State::Dying { end, .. } => end,
            State::Serving { since, .. } => {
                let served = now.saturating_sub(since);
                if served >= policy.healthy_after {
                    self.failures = 0;
                }
                match status {
                    Some(ExitStatus::Code(0)) if !self.serves => End::Finished,
                    Some(ExitStatus::Signal(SIGKILL)) => End::Crash,
                    _ if served < policy.too_soon => End::TooSoon,
                    _ => End::Crash,
                }
            }
            _ => match status {
                Some(ExitStatus::Code(0)) => End::Finished,
                _ => End::BeforeReady,
            },
        }
    }

    /// Counts a death before ready; true if the breaker opens.
    pub(super) fn breaker_opens(&mut self, now: Now, policy: &Policy) -> bool {
        self.early_deaths.push_back(now);
        while self.early_deaths.front().is_some_and(|death| now.saturating_sub(*death) > policy.breaker_window)
            || self.early_deaths.len() > policy.breaker_deaths
        {
            self.early_deaths.pop_front();
        }
        self.early_deaths.len() >= policy.breaker_deaths
    }

    /// The wait before the next start: doubling, bounded, with jitter.
    pub(super) fn next_back_off(&mut self, policy: &Policy, jitter: f64) -> Duration {
        let doubled = policy.back_off_first.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        doubled.min(policy.back_off_limit).mul_f64(jitter)
    }
}
