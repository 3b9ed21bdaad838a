//! Births and deaths: how a place gets its worker, and what it does when it has lost it.

use phalanx_process::ExitStatus;

use super::process::{End, Part, Process, State};
use super::recycle::Share;
use super::seat::{Rest, Seat};
use super::{
    Action, BAD_SETTINGS, Birth, Departure, KillReason, Now, Outcome, Phase, Place, Policy, Supervisor, WorkerId, place,
};
use crate::event::ExitReason;
use crate::id::MAX_SLOTS;

/// Most workers of one place, and most generations of the cluster, that drain at once; beyond it the oldest is killed.
pub(super) const MOST_DRAINING: usize = 2;

/// Whether a worker may accept connections as soon as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It may.
    Open,
    /// It waits for [`Action::Admit`].
    Held,
}

impl Supervisor {
    /// Makes a place and starts its worker; `None` if there can be no more places. A place that was left for good, and
    /// by all its workers, is taken again before a new one is made, so that forks and departures without end need no
    /// more places than workers that lived at once.
    pub(super) fn add_seat(&mut self, now: Now, out: &mut Vec<Action>) -> Option<usize> {
        if self.phase == Phase::Stopping {
            return None;
        }
        let left = (0..self.seats.len())
            .find(|seat| !self.seats[*seat].wanted() && !self.processes.iter().any(|process| process.seat() == *seat));
        let seat = left.unwrap_or(self.seats.len());
        if seat == MAX_SLOTS {
            return None;
        }
        let mut fresh = Seat::vacant(self.generation);
        match left {
            Some(seat) => {
                fresh.leak_recycled_not_before = self.seats[seat].leak_recycled_not_before;
                self.seats[seat] = fresh;
            }
            None => self.seats.push(fresh),
        }
        self.start_current(seat, now, out);
        Some(seat)
    }

    /// Starts the worker that holds the place.
    pub(super) fn start_current(&mut self, seat: usize, now: Now, out: &mut Vec<Action>) {
        let generation = self.seats[seat].generation;
        self.seats[seat].rest = match self.start(seat, Part::Current, generation, Entry::Open, now, out) {
            Some(_) => Rest::Taken,
            None => Rest::Waiting { until: now + self.policy.back_off_limit },
        };
    }

    /// Starts a process; `None` if there is no page for it.
    pub(super) fn start(
        &mut self,
        seat: usize,
        part: Part,
        generation: u32,
        entry: Entry,
        now: Now,
        out: &mut Vec<Action>,
    ) -> Option<WorkerId> {
        let page = self.pages.take()?;
        let worker = WorkerId::new(self.next_worker);
        self.next_worker += 1;
        self.listeners_open = true;
        self.idle_since = self.idle_since.map(|_| now);
        let birth = Birth { worker, place: place(seat), page, generation, held: entry == Entry::Held };
        let state = State::Booting { kill_at: now + self.policy.boot_deadline };
        let share = Share::draw(&self.policy, &mut self.random);
        self.processes.push(Process::new(birth, part, state, now, share));
        out.push(Action::Spawn(birth));
        Some(worker)
    }

    pub(super) fn ready(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) else { return };
        if !matches!(process.state, State::Booting { .. }) {
            return;
        }
        if process.birth.held && process.part == Part::Successor {
            process.enter(State::Probing { kill_at: now + self.policy.gate_deadline }, now);
            out.push(Action::Probe(worker));
        } else {
            self.admit(worker, now, out);
        }
    }

    pub(super) fn probed(&mut self, worker: WorkerId, answer: Result<(), String>, now: Now, out: &mut Vec<Action>) {
        let Some(process) = self.process(worker) else { return };
        if !matches!(process.state, State::Probing { .. }) {
            return;
        }
        match answer {
            Ok(()) => self.admit(worker, now, out),
            Err(why) => self.kill(worker, KillReason::Gate, Some(format!("its health gate says: {why}")), now, out),
        }
    }

    /// A worker begins to serve.
    pub(super) fn admit(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) else { return };
        process.enter(State::Serving { since: now }, now);
        if process.birth.held {
            out.push(Action::Admit(worker));
        }
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
        }
        if self.process(worker).is_some_and(|process| process.part == Part::Successor) {
            self.successor_serves(now, out);
        }
    }

    pub(super) fn listens(&mut self, worker: WorkerId) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) {
            process.listens = true;
        }
    }

    pub(super) fn failed(&mut self, worker: WorkerId, words: String) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) {
            process.last_error = Some(words);
        }
    }

    pub(super) fn exited(&mut self, worker: WorkerId, status: Option<ExitStatus>, now: Now, out: &mut Vec<Action>) {
        let Some(index) = self.processes.iter().position(|process| process.birth.worker == worker) else { return };
        let process = self.processes.remove(index);
        self.pages.release(process.birth.page);
        let end = process.end(status, now, &self.policy);
        let reason = ExitReason { status, voluntary: end.is_wanted(), error: process.last_error.clone() };
        let words = reason.to_string();
        out.push(Action::Bury(worker, reason));
        match process.part {
            Part::Past => self.room_is_made(worker, now, out),
            Part::Successor => self.successor_failed(&process.birth, words, now, out),
            Part::Current => {
                if process.served(now).is_some_and(|served| served >= self.policy.healthy_after) {
                    self.seats[process.seat()].failures = 0;
                }
                self.lost_current(&process, end, status, words, now, out);
            }
        }
    }

    /// A place has lost its worker.
    fn lost_current(
        &mut self,
        process: &Process,
        end: End,
        status: Option<ExitStatus>,
        words: String,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let seat = process.seat();
        if end.is_wanted() {
            return self.vacate(seat, now, out);
        }
        if end == End::BeforeReady && (self.first_start_failed() || self.bad_settings(status)) {
            let error = process.last_error.clone();
            return self.end_with(Outcome::FirstStartFailed { status, error }, now, out);
        }
        let failed = end != End::Crash;
        if failed && self.scale_failed(&process.birth, &words, now, out) {
            return;
        }
        match end {
            End::DoNotRestart => self.give_up(seat, process.last_error.clone(), now, out),
            _ if self.recycled_by(seat).is_some() => self.successor_inherits(now, out),
            End::BeforeReady | End::TooSoon => self.wait_or_break(seat, end, now, out),
            _ => self.start_current(seat, now, out),
        }
        if failed {
            self.reloaded_place_failed(&process.birth, words, now, out);
        }
    }

    fn wait_or_break(&mut self, seat: usize, end: End, now: Now, out: &mut Vec<Action>) {
        let jitter = self.random.around(Policy::BACK_OFF_JITTER);
        let its = &mut self.seats[seat];
        if end == End::BeforeReady && its.breaker_opens(now, &self.policy) {
            its.rest = Rest::Broken { probe_at: now + self.policy.probe_interval };
            out.push(Action::Break(place(seat), self.policy.probe_interval));
        } else {
            let wait = its.next_back_off(&self.policy, jitter);
            its.rest = Rest::Waiting { until: now + wait };
            out.push(Action::BackOff(place(seat), wait));
        }
    }

    fn give_up(&mut self, seat: usize, error: Option<String>, now: Now, out: &mut Vec<Action>) {
        if self.recycled_by(seat).is_some() {
            self.abandon_replacement(now, out);
        }
        self.seats[seat].rest = Rest::GivenUp;
        self.given_up_because = error;
        out.push(Action::GiveUp(place(seat)));
    }

    /// No worker was ever ready, and no place has still to make its first attempt.
    fn first_start_failed(&self) -> bool {
        self.phase == Phase::Starting && self.processes.is_empty()
    }

    /// No worker was ever ready, and this one says that its settings, which all have, cannot work.
    fn bad_settings(&self, status: Option<ExitStatus>) -> bool {
        self.phase == Phase::Starting && status == Some(ExitStatus::Code(BAD_SETTINGS))
    }

    /// The place is wanted no more: it has no worker of its own, and gets none.
    pub(super) fn vacate(&mut self, seat: usize, now: Now, out: &mut Vec<Action>) {
        self.seats[seat].rest = Rest::Vacant;
        if self.replacement.as_ref().is_some_and(|replacement| replacement.seat == seat) {
            self.abandon_replacement(now, out);
        }
    }

    /// The worker that holds the place.
    pub(super) fn current(&self, seat: usize) -> Option<&Process> {
        self.processes.iter().find(|process| process.part == Part::Current && process.seat() == seat)
    }

    pub(super) fn process(&self, worker: WorkerId) -> Option<&Process> {
        self.processes.iter().find(|process| process.birth.worker == worker)
    }

    /// Tells a worker that its place is no longer its own, and to leave.
    pub(super) fn retire(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        self.dismiss(worker, Departure::Alone, now, out);
        self.bound_draining(now, out);
    }

    /// The same, whatever else drains.
    pub(super) fn dismiss(&mut self, worker: WorkerId, departure: Departure, now: Now, out: &mut Vec<Action>) {
        let policy = &self.policy;
        let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) else { return };
        process.part = Part::Past;
        if !matches!(process.state, State::Draining { .. } | State::Dying { .. }) {
            process.enter(State::Draining { kill_at: now + policy.drain_deadline + policy.drain_grace }, now);
            out.push(Action::Drain(worker, departure, policy.drain_deadline));
        }
    }

    /// Kills a process; `words` are said of it if it says nothing itself.
    pub(super) fn kill(
        &mut self,
        worker: WorkerId,
        reason: KillReason,
        words: Option<String>,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let Some(process) = self.processes.iter_mut().find(|process| process.birth.worker == worker) else { return };
        let end = process.end_by(reason, now, &self.policy);
        process.enter(State::Dying { end }, now);
        process.last_error = process.last_error.take().or(words);
        out.push(Action::Kill(worker, reason));
        if process.part == Part::Successor {
            process.part = Part::Past;
            let birth = process.birth;
            let words = process.last_error.clone().unwrap_or_else(|| reason.to_string());
            self.successor_failed(&birth, words, now, out);
        }
    }

    /// No place has more than [`MOST_DRAINING`] workers that drain, and they are of no more generations.
    fn bound_draining(&mut self, now: Now, out: &mut Vec<Action>) {
        while let Some(oldest) = self.one_draining_too_many() {
            self.kill(oldest, KillReason::OldGeneration, None, now, out);
        }
    }

    fn one_draining_too_many(&self) -> Option<WorkerId> {
        let draining = || {
            let all = self.processes.iter().filter(|process| matches!(process.state, State::Draining { .. }));
            all.map(|process| process.birth)
        };
        let oldest = draining().min_by_key(|birth| (birth.generation, birth.worker))?;
        let newer = draining().map(|birth| birth.generation).filter(|generation| *generation != oldest.generation);
        if newer.clone().min() != newer.max() {
            return Some(oldest.worker);
        }
        let crowd = |place: Place| draining().filter(move |birth| birth.place == place);
        let crowded = draining().find(|birth| crowd(birth.place).nth(MOST_DRAINING).is_some())?;
        crowd(crowded.place).map(|birth| birth.worker).min()
    }
}
