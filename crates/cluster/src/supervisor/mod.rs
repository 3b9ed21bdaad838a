//! Supervision as a pure function: `(state, input, now) → (state, actions)`.
//!
//! Nothing in here touches the operating system, reads a clock or waits. The primary's loop feeds in what happened
//! ([`Input`]) and does what comes out ([`Action`]); the simulation in the tests does the same with an invented world.
//!
//! ```text
//!                spawn            ready                      drain                 
//!   Vacant ─► Booting ─────────► Serving ──────────────────► Draining ─────► Vacant
//!     ▲          │ boot clock,      │ exit: replaced at once    │ its clock
//!     │          ▼ exit             ▼                           ▼
//!     │       Waiting (back-off) ◄─ exit within 1 s of ready  Dying (SIGKILL sent)
//!     │          │ fifth in 60 s
//!     │          ▼
//!     └─────── Broken (the breaker is open: a probe every 60 s; the others serve on)
//! ```
//!
//! The rules are those of the back-off and the breaker in `docs/supervision.md`. Times are durations since an origin
//! that the caller chooses; they must not go backwards.

mod policy;
#[cfg(test)]
mod simulation;
mod slot;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;

use crate::event::ExitReason;
use crate::id::MAX_SLOTS;
use crate::{Place, WorkerId};

pub use policy::{Admission, Policy};
use slot::{End, Slot, State};
pub use words::*;

/// A moment, as the time since an origin.
pub type Now = Duration;

/// How far the cluster as a whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No worker was ready yet.
    Starting,
    /// At least one worker was ready once.
    Running,
    /// All workers leave.
    Stopping,
    /// Nothing more is done.
    Finished,
}

/// The state of the whole cluster.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    phase: Phase,
    slots: Vec<Slot>,
    next_worker: u32,
    /// Since when no worker serves; only meaningful after one did.
    idle_since: Option<Now>,
    listeners_open: bool,
    /// Whether a cluster that has no slot yet may still get one.
    forks_expected: bool,
    last_tick: Option<Now>,
    jitter: policy::Jitter,
}

impl Supervisor {
    /// A cluster without workers. `seed` decides the jitter of back-offs and nothing else.
    pub fn new(policy: Policy, seed: u64) -> Supervisor {
        Supervisor {
            policy,
            phase: Phase::Starting,
            slots: Vec::new(),
            next_worker: 1,
            idle_since: None,
            listeners_open: true,
            forks_expected: true,
            last_tick: None,
            jitter: policy::Jitter::new(seed),
        }
    }

    /// Takes one input and says what to do. **The table**: one line an input.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Finished {
            return actions;
        }
        let out = &mut actions;
        match input {
            Input::Start { workers } => (0..workers).for_each(|_| self.add_slot(now, out)),
            Input::Fork => self.add_slot(now, out),
            Input::Ready(worker) => self.ready(worker, now),
            Input::Listening(worker) => self.with_slot(worker, |slot| slot.serves = true),
            Input::Failed(worker, error) => self.with_slot(worker, |slot| slot.last_error = Some(error)),
            Input::Exited(worker, status) => self.exited(worker, Some(status), now, out),
            Input::SpawnFailed(worker, error) => {
                self.with_slot(worker, |slot| slot.last_error = Some(error));
                self.exited(worker, None, now, out);
            }
            Input::Disconnect(worker) => self.disconnect(worker, now, out),
            Input::DisconnectAll => self.live().into_iter().for_each(|worker| self.disconnect(worker, now, out)),
            Input::CodeEnded => self.forks_expected = false,
            Input::Tick(vitals) => self.tick(&vitals, now, out),
            Input::Probed(..) | Input::Adopt(_) => {}
            Input::Reload { operation, .. } | Input::Scale { operation, .. } => {
                out.push(Action::Over { operation, result: Err("not known yet".into()) });
            }
            Input::Elapsed => {}
            Input::Stop => self.stop(now, out),
            Input::StopNow => self.stop_now(out),
        }
        if self.phase != Phase::Finished {
            self.clocks(now, out);
            self.close_listeners_if_idle(now, out);
            self.finish_if_over(out);
        }
        actions
    }

    /// The next moment at which [`Input::Elapsed`] is due even if nothing happens.
    pub fn wakes_at(&self) -> Option<Now> {
        let idle = self.idle_since.filter(|_| self.listeners_open).map(|since| since + self.policy.idle_close);
        self.slots.iter().filter_map(|slot| slot.state.wakes_at()).chain(idle).min()
    }

    /// The workers whose processes exist.
    pub fn live(&self) -> Vec<WorkerId> {
        self.slots.iter().filter_map(|slot| slot.state.worker()).collect()
    }

    /// Whether the worker was told to leave, so that its exit is no crash. `None` if it is not known.
    pub fn leaves(&self, worker: WorkerId) -> Option<bool> {
        let slot = self.slots.iter().find(|slot| slot.state.worker() == Some(worker))?;
        Some(matches!(slot.state, State::Draining { .. } | State::Dying { end: End::Voluntary, .. }))
    }

    /// A place that was left for good is taken again before a new one is made, so that forks and departures without end
    /// need no more places than workers that lived at once.
    fn add_slot(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.phase == Phase::Stopping {
            return;
        }
        let left = self.slots.iter().position(|slot| matches!(slot.state, State::Vacant));
        let index = left.unwrap_or(self.slots.len());
        if index == MAX_SLOTS {
            return;
        }
        match left {
            Some(index) => self.slots[index] = Slot::vacant(),
            None => self.slots.push(Slot::vacant()),
        }
        self.spawn(index, now, out);
    }

    fn spawn(&mut self, index: usize, now: Now, out: &mut Vec<Action>) {
        let worker = WorkerId::new(self.next_worker);
        self.next_worker += 1;
        self.listeners_open = true;
        self.idle_since = self.idle_since.map(|_| now);
        let slot = &mut self.slots[index];
        slot.begin(State::Booting { worker, kill_at: now + self.policy.boot_deadline });
        out.push(Action::Spawn(Birth {
            worker,
            place: place(index),
            page: SlotIndex(index as u16),
            generation: 0,
            held: false,
        }));
    }

    fn with_slot(&mut self, worker: WorkerId, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.state.worker() == Some(worker)) {
            change(slot);
        }
    }

    fn ready(&mut self, worker: WorkerId, now: Now) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.state.worker() == Some(worker)) else { return };
        if matches!(slot.state, State::Booting { .. }) {
            slot.state = State::Serving { worker, since: now, beat: 0, silent_ticks: 0 };
            self.idle_since = None;
            if self.phase == Phase::Starting {
                self.phase = Phase::Running;
            }
        }
    }

    fn exited(&mut self, worker: WorkerId, status: Option<ExitStatus>, now: Now, out: &mut Vec<Action>) {
        let Some(index) = self.slots.iter().position(|slot| slot.state.worker() == Some(worker)) else { return };
        let slot = &mut self.slots[index];
        let end = slot.classify(status, now, &self.policy);
        let reason = ExitReason { status, voluntary: end == End::Voluntary, error: slot.last_error.clone() };
        slot.state = State::Vacant;
        out.push(Action::Bury(worker, reason));
        if !self.slots.iter().any(|slot| matches!(slot.state, State::Serving { .. })) && self.phase != Phase::Starting {
            self.idle_since.get_or_insert(now);
        }
        if self.phase == Phase::Stopping {
            return;
        }
        match end {
            End::Voluntary | End::Finished => {}
            End::Crash => self.spawn(index, now, out),
            End::BeforeReady if self.first_start_failed() => self.fail_first_start(index, status, out),
            End::BeforeReady | End::TooSoon => self.wait_or_break(index, end, now, out),
        }
    }

    fn wait_or_break(&mut self, index: usize, end: End, now: Now, out: &mut Vec<Action>) {
        let jitter = self.jitter.next();
        let slot = &mut self.slots[index];
        if end == End::BeforeReady && slot.breaker_opens(now, &self.policy) {
            slot.state = State::Broken { probe_at: now + self.policy.probe_interval };
            out.push(Action::Break(place(index), self.policy.probe_interval));
        } else {
            let wait = slot.next_back_off(&self.policy, jitter);
            slot.state = State::Waiting { until: now + wait };
            out.push(Action::BackOff(place(index), wait));
        }
    }

    /// No worker was ever ready, and no slot has still to make its first attempt.
    fn first_start_failed(&self) -> bool {
        self.phase == Phase::Starting
            && self.slots.iter().all(|slot| slot.attempts > 0 && slot.state.worker().is_none())
    }

    fn fail_first_start(&mut self, index: usize, status: Option<ExitStatus>, out: &mut Vec<Action>) {
        self.phase = Phase::Finished;
        let error = self.slots[index].last_error.clone();
        out.push(Action::Finish(Outcome::FirstStartFailed { status, error }));
    }

    fn disconnect(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        self.drain(worker, Departure::Alone, now, out);
    }

    fn drain(&mut self, worker: WorkerId, departure: Departure, now: Now, out: &mut Vec<Action>) {
        let policy = &self.policy;
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.state.worker() == Some(worker)) else { return };
        if matches!(slot.state, State::Booting { .. } | State::Serving { .. }) {
            slot.state =
                State::Draining { worker, since: now, kill_at: now + policy.drain_deadline + policy.drain_grace };
            out.push(Action::Drain(worker, departure, policy.drain_deadline));
        }
    }

    fn stop(&mut self, now: Now, out: &mut Vec<Action>) {
        self.phase = Phase::Stopping;
        for slot in &mut self.slots {
            if slot.state.worker().is_none() {
                slot.state = State::Vacant;
            }
        }
        self.live().into_iter().for_each(|worker| self.drain(worker, Departure::WithAll, now, out));
    }

    fn stop_now(&mut self, out: &mut Vec<Action>) {
        self.phase = Phase::Stopping;
        for slot in &mut self.slots {
            match slot.state.worker() {
                Some(worker) => {
                    slot.state = State::Dying { worker, end: End::Voluntary };
                    out.push(Action::Kill(worker, KillReason::StopNow));
                }
                None => slot.state = State::Vacant,
            }
        }
    }

    /// Counts a second without a heartbeat for each serving worker. A late tick counts none: then it was this process,
    /// or the whole machine, that stood still.
    fn tick(&mut self, vitals: &[Vitals], now: Now, out: &mut Vec<Action>) {
        let on_time = self.last_tick.is_none_or(|last| now.saturating_sub(last) < self.policy.late_tick);
        self.last_tick = Some(now);
        for slot in &mut self.slots {
            let State::Serving { worker, beat, silent_ticks, .. } = &mut slot.state else { continue };
            let Some(current) = vitals.iter().find(|its| its.worker == *worker) else { continue };
            if current.beat != *beat {
                (*beat, *silent_ticks) = (current.beat, 0);
            } else if on_time {
                *silent_ticks += 1;
            }
            if *silent_ticks >= self.policy.liveness_ticks {
                let worker = *worker;
                slot.state = State::Dying { worker, end: End::Crash };
                out.push(Action::Kill(worker, KillReason::Hung));
            }
        }
    }

    /// Everything whose time has come.
    fn clocks(&mut self, now: Now, out: &mut Vec<Action>) {
        for index in 0..self.slots.len() {
            match self.slots[index].state {
                State::Booting { worker, kill_at } if now >= kill_at => {
                    self.slots[index].state = State::Dying { worker, end: End::BeforeReady };
                    self.slots[index]
                        .last_error
                        .get_or_insert_with(|| format!("not ready within {:?}", self.policy.boot_deadline));
                    out.push(Action::Kill(worker, KillReason::Boot));
                }
                State::Draining { worker, kill_at, .. } if now >= kill_at => {
                    self.slots[index].state = State::Dying { worker, end: End::Voluntary };
                    out.push(Action::Kill(worker, KillReason::Drain));
                }
                State::Waiting { until } if now >= until => self.spawn(index, now, out),
                State::Broken { probe_at } if now >= probe_at => self.spawn(index, now, out),
                _ => {}
            }
        }
    }

    fn close_listeners_if_idle(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.listeners_open && self.idle_since.is_some_and(|since| now >= since + self.policy.idle_close) {
            self.listeners_open = false;
            out.push(Action::CloseListeners);
        }
    }

    fn finish_if_over(&mut self, out: &mut Vec<Action>) {
        let over = self.slots.iter().all(|slot| matches!(slot.state, State::Vacant));
        let began = self.phase != Phase::Starting || !self.slots.is_empty() || !self.forks_expected;
        if over && began {
            self.phase = Phase::Finished;
            out.push(Action::Finish(Outcome::Done));
        }
    }
}

/// The place of this index; there are never more than a place's number can name.
fn place(index: usize) -> Place {
    Place(index as u16)
}
