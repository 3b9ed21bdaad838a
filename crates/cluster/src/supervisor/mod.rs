//! Supervision as a pure function: `(state, input, now) → (state, actions)`.
//!
//! Nothing in here touches the operating system, reads a clock or waits. The primary's loop feeds in what happened
//! ([`Input`]) and does what comes out ([`Action`]); the simulation in the tests does the same with an invented world.
//!
//! A **place** is a seat in the cluster with a history; a **process** sits on one, as its current worker, as the
//! successor that is to take it over, or as one of the past that drains.
//!
//! ```text
//!  a process                                                              a place
//!                 ready            ready, no gate                           Vacant ◄── left for good
//!   Booting ───────────► Probing      │                                       │ wanted
//!      │  (held successor)  │ healthy │                                       ▼
//!      │                    ▼         ▼     silent        leaves            Taken ◄──────────────┐
//!      │                  Serving ◄─────► Hung ───┐   ┌─► Draining            │ death too soon,  │ started again,
//!      │ boot clock         │    beats again      │   │       │               ▼ or before ready  │ or replaced by
//!      ▼                    ▼                     ▼   │       ▼            Waiting, Broken, ─────┘ a reload
//!   Dying ◄──── gate, hard memory, hung grace ────────┘  drain clock       GivenUp (exit code 78)
//! ```
//!
//! Each file has one idea: `life` births and deaths, `replacement` one worker for another, `room` memory for two, `reload` all of them and
//! the way back, `scale` more and fewer, `recycle` a worker's share, `liveness` the tick, `clocks` deadlines,
//! `stop` the end, `adopt` from one image of the primary to the next. The rules in words: `docs/supervision.md`.
//!
//! Times are durations since an origin that the caller chooses; they must not go backwards.

mod adopt;
mod clocks;
mod life;
mod liveness;
mod pages;
mod policy;
mod process;
mod recycle;
mod reload;
mod replacement;
mod room;
mod scale;
mod seat;
#[cfg(test)]
mod simulation;
mod status;
mod stop;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use crate::{Place, WorkerId};

pub use policy::{Admission, Overlap, Policy, Purpose};
pub use status::{Counts, PlaceStatus, Status, WorkerStatus};
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

/// What was asked for and is under way. There is never more than one.
#[derive(Debug)]
enum Operation {
    Reload(reload::Reload),
    RollBack(reload::RollBack),
    ScaleUp(scale::ScaleUp),
}

impl Operation {
    fn number(&self) -> u64 {
        match self {
            Operation::Reload(reload) => reload.number(),
            Operation::RollBack(back) => back.number(),
            Operation::ScaleUp(scale) => scale.number(),
        }
    }
}

/// Whether what is under way has done all that it can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It, or what comes after it, has more to do.
    Goes,
    /// It waits for an input.
    Waits,
}

/// The state of the whole cluster.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    phase: Phase,
    seats: Vec<seat::Seat>,
    processes: Vec<process::Process>,
    pages: pages::Pages,
    next_worker: u32,
    /// The generation that new places begin with.
    generation: u32,
    operation: Option<Operation>,
    replacement: Option<replacement::Replacement>,
    /// The last worker that was recycled; it may still drain.
    leaves_recycled: Option<WorkerId>,
    /// Since when no worker serves; only meaningful after one did.
    idle_since: Option<Now>,
    /// Memory for one worker more.
    room: room::Room,
    listeners_open: bool,
    /// Whether a cluster that has no place yet may still get one.
    forks_expected: bool,
    last_tick: Option<Now>,
    /// What the last worker said that asked not to be started again.
    given_up_because: Option<String>,
    /// How the cluster ends, if not by itself.
    ending: Option<Outcome>,
    random: policy::Random,
}

impl Supervisor {
    /// A cluster without workers. `seed` decides the jitter of back-offs and of recycling, and nothing else.
    pub fn new(policy: Policy, seed: u64) -> Supervisor {
        Supervisor {
            policy,
            phase: Phase::Starting,
            seats: Vec::new(),
            processes: Vec::new(),
            pages: pages::Pages::default(),
            next_worker: 1,
            generation: 0,
            operation: None,
            replacement: None,
            leaves_recycled: None,
            idle_since: None,
            room: room::Room::default(),
            listeners_open: true,
            forks_expected: true,
            last_tick: None,
            given_up_because: None,
            ending: None,
            random: policy::Random::new(seed),
        }
    }

    /// Takes one input and says what to do. **The table**: one line an input.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Action> {
        let mut actions = Vec::new();
        let out = &mut actions;
        if self.phase == Phase::Finished {
            self.refuse(input, out);
            return actions;
        }
        match input {
            Input::Start { workers } => (0..workers).for_each(|_| _ = self.add_seat(now, out)),
            Input::Adopt(heritage) => self.adopt(heritage, now, out),
            Input::Fork => _ = self.add_seat(now, out),
            Input::Ready(worker) => self.ready(worker, now, out),
            Input::Listening(worker) => self.listens(worker),
            Input::Probed(worker, answer) => self.probed(worker, answer, now, out),
            Input::Failed(worker, words) => self.failed(worker, words),
            Input::Exited(worker, status) => self.exited(worker, Some(status), now, out),
            Input::SpawnFailed(worker, words) => {
                self.failed(worker, words);
                self.exited(worker, None, now, out);
            }
            Input::Leaks(worker, resource) => self.leaks(worker, resource),
            Input::OutOfMemory(worker, words) => self.outgrew(worker, words),
            Input::Disconnect(worker) => self.disconnect(worker, now, out),
            Input::DisconnectAll => self.disconnect_all(now, out),
            Input::CodeEnded => self.forks_expected = false,
            Input::HeadRoom(free) => {
                // What follows from it, the tick does: that knows who is alive.
                self.room.measure(free);
                return actions;
            }
            Input::Tick(vitals) => self.tick(&vitals, now, out),
            Input::Reload { operation, generation } => self.reload(operation, generation, now, out),
            Input::Scale { operation, workers } => self.scale(operation, workers, now, out),
            Input::Elapsed => {}
            Input::Stop => self.stop(now, out),
            Input::StopNow => self.stop_now(now, out),
        }
        self.clocks(now, out);
        self.go_on(now, out);
        self.close_listeners_if_idle(now, out);
        self.finish_if_over(out);
        actions
    }

    /// Goes on with what is under way: one replacement at a time, for the operation if there is one, else for recycling.
    fn go_on(&mut self, now: Now, out: &mut Vec<Action>) {
        while self.replacement.is_none() && self.phase != Phase::Stopping {
            let turn = match &self.operation {
                Some(Operation::Reload(_)) => self.reload_turn(now, out),
                Some(Operation::RollBack(_)) => self.roll_back_turn(now, out),
                Some(Operation::ScaleUp(_)) => self.scale_turn(out),
                None => {
                    self.recycle_next(now, out);
                    Turn::Waits
                }
            };
            if turn == Turn::Waits {
                return;
            }
        }
    }

    /// After the end an operation cannot begin, and nothing else matters.
    fn refuse(&mut self, input: Input, out: &mut Vec<Action>) {
        if let Input::Reload { operation, .. } | Input::Scale { operation, .. } = input {
            out.push(Action::Over { operation, result: Err("the cluster has ended".into()) });
        }
    }
}

/// The place of this index; there are never more than a place's number can name.
fn place(index: usize) -> Place {
    Place(index as u16)
}
