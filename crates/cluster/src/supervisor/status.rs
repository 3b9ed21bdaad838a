//! A plain description of the cluster, for people and for metrics.

use super::process::{Part, Process};
use super::seat::Rest;
use super::{NextTry, Now, Place, Supervisor, WorkerId, place};
use phalanx_shared::SlotIndex;

/// What a cluster looks like at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The generation that new places begin with.
    pub generation: u32,
    /// The operation that is under way.
    pub operation: Option<u64>,
    /// The places that are wanted, and those whose workers have not left yet.
    pub places: Vec<PlaceStatus>,
}

/// A place at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceStatus {
    /// Which.
    pub place: Place,
    /// `left`, `taken`, `making room` (its worker left first), `waiting` (for its back-off), `broken` (its breaker is open) or `given up`.
    pub state: &'static str,
    /// The generation of the workers that are started here.
    pub generation: u32,
    /// Deaths in a row that its back-off counts.
    pub failures: u32,
    /// If it has no worker: when it gets one.
    pub next_try: Option<NextTry>,
    /// Its processes: the one that holds it first.
    pub workers: Vec<WorkerStatus>,
}

/// A process at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerStatus {
    /// Which.
    pub worker: WorkerId,
    /// Its page of the scoreboard.
    pub page: SlotIndex,
    /// Its settings.
    pub generation: u32,
    /// `current`, `successor` or `past`.
    pub part: &'static str,
    /// `starting`, `probed`, `serving`, `hung`, `draining` or `killed`.
    pub state: &'static str,
    /// Since when, as the time since the supervisor's origin.
    pub since: Now,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Places wanted.
    pub wanted: usize,
    /// Workers that serve, those that hang included.
    pub serving: usize,
    /// Workers that drain.
    pub draining: usize,
    /// Places without a worker whose breaker is open, or that are given up.
    pub broken: usize,
}

impl Supervisor {
    /// What the cluster looks like.
    pub fn status(&self, now: Now) -> Status {
        let here = |index: usize| self.processes.iter().any(|process| process.seat() == index);
        let shown = (0..self.seats.len()).filter(|index| self.seats[*index].wanted() || here(*index));
        Status {
            generation: self.generation,
            operation: self.operation.as_ref().map(|operation| operation.number()),
            places: shown.map(|index| self.place_status(index, now)).collect(),
        }
    }

    fn place_status(&self, index: usize, now: Now) -> PlaceStatus {
        let seat = &self.seats[index];
        let (state, next_try) = match seat.rest {
            Rest::Vacant => ("left", None),
            Rest::Taken => ("taken", None),
            Rest::MakingRoom => ("making room", None),
            Rest::Waiting { until } => ("waiting", Some(NextTry::In(until.saturating_sub(now)))),
            Rest::Broken { probe_at } => ("broken", Some(NextTry::In(probe_at.saturating_sub(now)))),
            Rest::GivenUp => ("given up", Some(NextTry::AtReload)),
        };
        let mut workers: Vec<&Process> = self.processes.iter().filter(|process| process.seat() == index).collect();
        workers.sort_by_key(|process| (process.part != Part::Current, process.birth.worker));
        PlaceStatus {
            place: place(index),
            state,
            generation: seat.generation,
            failures: seat.failures,
            next_try,
            workers: workers.into_iter().map(WorkerStatus::of).collect(),
        }
    }

    /// How many places and workers there are.
    pub fn counts(&self) -> Counts {
        let draining = |process: &&Process| matches!(process.state, super::process::State::Draining { .. });
        Counts {
            wanted: self.wanted(),
            serving: self.processes.iter().filter(|process| process.serves()).count(),
            draining: self.processes.iter().filter(draining).count(),
            broken: self.seats.iter().filter(|seat| matches!(seat.rest, Rest::Broken { .. } | Rest::GivenUp)).count(),
        }
    }

    /// Places wanted.
    pub fn wanted(&self) -> usize {
        self.seats.iter().filter(|seat| seat.wanted()).count()
    }

    /// The generation that new places begin with: the last one that a reload brought to every place.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Every generation that has a worker or may yet get one: their settings have to be kept.
    pub fn generations(&self) -> Vec<u32> {
        let seats = self.seats.iter().filter(|seat| seat.wanted()).map(|seat| seat.generation);
        let processes = self.processes.iter().map(|process| process.birth.generation);
        let mut all: Vec<u32> = seats.chain(processes).chain(self.reloads_to()).chain([self.generation]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The workers whose processes exist.
    pub fn live(&self) -> Vec<WorkerId> {
        self.processes.iter().map(|process| process.birth.worker).collect()
    }

    /// Whether the worker was told to leave, so that its exit is no crash. `None` if it is not known.
    pub fn leaves(&self, worker: WorkerId) -> Option<bool> {
        use super::process::{End, State};
        let process = self.process(worker)?;
        Some(matches!(process.state, State::Draining { .. } | State::Dying { end: End::Voluntary }))
    }
}

impl WorkerStatus {
    fn of(process: &Process) -> WorkerStatus {
        WorkerStatus {
            worker: process.birth.worker,
            page: process.birth.page,
            generation: process.birth.generation,
            part: match process.part {
                Part::Current => "current",
                Part::Successor => "successor",
                Part::Past => "past",
            },
            state: process.state.word(),
            since: process.entered,
        }
    }
}
