//! Who gets which task: an idle process first; a short task may queue behind short ones; and what room is made.

use std::time::{Duration, Instant};

use crate::pool::Recycled;
use crate::{Phase, Refusal, TaskError};

use super::jobs::Job;
use super::process::{Placed, Process};
use super::share::Pass;
use super::{Desks, JobKey, Offer, Offered, Place, Seat, Stage, State, Why, Work};

/// Tiny tasks at one desk: as many as it has places.
const MOST_TINY: usize = 64;

/// A head that runs for longer than this lets those go that were queued behind it.
pub(super) const HOLD_UP: Duration = Duration::from_millis(2);
/// So often the keeper looks for answers though no bell was heard: a task may have broken the bell of its process.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl<W: Work> State<W> {
    /// Gives out what can be given out.
    pub(in crate::pool) fn dispatch(&mut self, desks: &mut impl Desks<W>, now: Instant) {
        for level in 0..self.levels.len() {
            self.dispatch_level(level, desks, now);
        }
        self.close_if_done();
    }

    pub(super) fn dispatch_level(&mut self, level: usize, desks: &mut impl Desks<W>, now: Instant) {
        while !self.levels[level].line.is_empty() {
            let Some((seat, is_ahead)) = self.room(level, now) else { return };
            let Some(popped) = self.levels[level].line.pop() else { return };
            let key = popped.job;
            let (seat, is_ahead) = match self.seat_behind_tiny(level, &self.jobs[key], now) {
                Some(behind) => (behind, true),
                None => (seat, is_ahead),
            };
            let job = &mut self.jobs[key];
            let may_wait_there = job.from_start.is_none() && job.deaths == 0 && self.kinds.is_short(job.kind);
            if is_ahead && !may_wait_there {
                job.place = Place::Waiting(self.levels[level].line.push_in_front(key, popped.ticket));
                return;
            }
            job.place = Place::Nowhere;
            job.ticket = Some(popped.ticket);
            if job.due.is_some_and(|due| due <= now) {
                self.end(key, Err(TaskError::TimedOut(Phase::Queue)));
            } else if !self.place(seat, key, desks, now) {
                return;
            }
        }
    }

    /// A process that can take one more task, and whether that is behind others.
    fn room(&mut self, level: usize, now: Instant) -> Option<(Seat, bool)> {
        match self.idle_seat(level) {
            Some(seat) => match self.share.ask(now) {
                Pass::Go => return Some((seat, false)),
                Pass::Wait(again) => self.note(Some(again)),
            },
            None => self.hire(level, now),
        }
        self.seat_ahead(level, now).map(|seat| (seat, true))
    }

    /// The one that was busy last: its memory is warm, and the others may idle out.
    pub(super) fn idle_seat(&self, level: usize) -> Option<Seat> {
        let idle = self.processes().filter(|(_, process)| process.level == level && process.is_idle());
        idle.max_by_key(|(_, process)| process.head_since).map(|(seat, _)| seat)
    }

    /// A busy process that will have done all it has, and this too, before an idle one would be awake.
    fn seat_behind_tiny(&self, level: usize, job: &Job<W::Payload>, now: Instant) -> Option<Seat> {
        let kind = job.kind;
        let most = self.kinds.per_wake_up(kind).min(MOST_TINY);
        if self.rules.ahead == 0 || most <= 1 || job.from_start.is_some() || job.deaths > 0 {
            return None;
        }
        let may = self.processes().filter(|(_, process)| {
            process.level == level
                && process.is_open()
                && (1..most).contains(&process.queue.len())
                && self.may_take_another(process)
                && now.saturating_duration_since(process.head_since) < HOLD_UP
                && process.queue.iter().all(|placed| placed.kind == kind)
        });
        // The fullest, so that the others come to rest.
        may.max_by_key(|(_, process)| process.queue.len()).map(|(seat, _)| seat)
    }

    /// Whether a process will not have run as many tasks as it may when it is done with those that it has.
    fn may_take_another(&self, process: &Process<W::Slot>) -> bool {
        self.rules.max_jobs.is_none_or(|most| process.jobs + (process.queue.len() as u64) < most)
    }

    /// Where the fewest short tasks are before it.
    fn seat_ahead(&self, level: usize, now: Instant) -> Option<Seat> {
        let may = self.processes().filter(|(_, process)| {
            process.level == level
                && process.is_open()
                && (1..=self.rules.ahead).contains(&process.queue.len())
                && self.may_take_another(process)
                && now.saturating_duration_since(process.head_since) < HOLD_UP
                && process.queue.iter().all(|placed| self.kinds.is_short(placed.kind))
        });
        may.min_by_key(|(_, process)| process.queue.len()).map(|(seat, _)| seat)
    }

    /// False if nothing more can be given out now.
    fn place(&mut self, seat: Seat, key: JobKey, desks: &mut impl Desks<W>, now: Instant) -> bool {
        let job = &self.jobs[key];
        let from_start = job.from_start.and_then(|time| now.checked_add(time));
        let deadline = [job.due, from_start].into_iter().flatten().min();
        let (id, kind) = (job.id, job.kind);
        let slot = match desks.offer(seat, Offer { key, id, payload: &job.payload, deadline }) {
            Offered::Placed(slot) => Some(slot),
            Offered::Underway => None,
            Offered::NoRoom => {
                self.found_no_room(seat, key);
                return true;
            }
            Offered::Refused(refusal) => {
                self.end(key, Err(refusal.into()));
                return true;
            }
            Offered::Malformed(what) => {
                self.wait_again(key);
                self.malformed(seat, what);
                return true;
            }
        };
        self.jobs[key].place = Place::At(seat);
        let Some(process) = &mut self.seats[seat.0] else { return true };
        process.is_loading = slot.is_none();
        let is_first = process.queue.is_empty();
        process.queue.push_back(Placed { key, id, slot, kind });
        if is_first {
            process.head_since = now;
            self.share.begin();
        }
        self.note_head(seat, now);
        true
    }

    /// The desk of this process has no room for this task now.
    fn found_no_room(&mut self, seat: Seat, key: JobKey) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        process.is_full = true;
        if process.queue.is_empty() && process.jobs == 0 {
            let reason = "its input finds no room in a fresh process".to_owned();
            process.is_full = false;
            self.end(key, Err(Refusal::NotStarted { reason }.into()));
            return;
        }
        if process.queue.is_empty() {
            self.leave(seat, Recycled::Inputs);
        }
        self.wait_again(key);
    }

    /// The task waits again, before all others.
    pub(super) fn wait_again(&mut self, key: JobKey) {
        let job = &mut self.jobs[key];
        let line = &mut self.levels[self.kinds.level(job.kind)].line;
        if let Some(ticket) = job.ticket.take() {
            job.place = Place::Waiting(line.push_in_front(key, ticket));
        }
    }

    /// Whether a large task that is on its way to this desk is still wanted there.
    pub(in crate::pool) fn is_wanted(&self, seat: Seat, key: JobKey) -> bool {
        let is_there =
            self.seats[seat.0].as_ref().is_some_and(|process| process.queue.iter().any(|its| its.key == key));
        is_there && self.jobs.get(key).is_some_and(|job| !job.is_answered)
    }

    /// A large task was put on its desk, or not.
    pub(in crate::pool) fn carried(&mut self, seat: Seat, key: JobKey, outcome: Offered<W::Slot>, now: Instant) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        let Some(placed) = process.queue.iter_mut().find(|placed| placed.key == key) else { return };
        process.is_loading = false;
        if let Offered::Placed(slot) = outcome {
            placed.slot = Some(slot);
            if process.head() == Some(key) {
                process.head_since = now;
                self.note_head(seat, now);
            }
            return;
        }
        if process.forget(key, now) {
            self.becomes_idle(seat, now);
        }
        match outcome {
            _ if self.jobs[key].is_answered => self.end(key, Err(TaskError::Cancelled)),
            Offered::Refused(refusal) => self.end(key, Err(refusal.into())),
            Offered::Malformed(what) => {
                self.wait_again(key);
                self.malformed(seat, what);
            }
            _ => self.found_no_room(seat, key),
        }
    }

    /// Takes back all that the process has not begun, but for its first task.
    pub(super) fn take_back(&mut self, seat: Seat, desks: &mut impl Desks<W>) {
        let Some(process) = &self.seats[seat.0] else { return };
        // From behind, so that they keep their order in the line.
        let behind: Vec<_> = process.queue.iter().skip(1).rev().copied().collect();
        for placed in behind {
            if !placed.slot.is_some_and(|slot| desks.retract(seat, slot)) {
                continue;
            }
            if let Some(process) = &mut self.seats[seat.0] {
                process.queue.retain(|its| its.key != placed.key);
            }
            let job = &mut self.jobs[placed.key];
            let line = &mut self.levels[self.kinds.level(job.kind)].line;
            let Some(ticket) = job.ticket.take() else { continue };
            if job.is_answered {
                line.left_unrun(ticket);
                self.end(placed.key, Err(TaskError::Cancelled));
            } else {
                self.tally.dispatched_again += 1;
                job.place = Place::Waiting(line.push_in_front(placed.key, ticket));
            }
        }
    }

    /// The process has nothing to do any more.
    pub(super) fn becomes_idle(&mut self, seat: Seat, now: Instant) {
        self.waits_no_more(seat);
        self.share.end();
        let Some(process) = &mut self.seats[seat.0] else { return };
        process.head_since = now;
        process.is_full = false;
        let (stage, jobs) = (process.stage, process.jobs);
        match stage {
            Stage::Leaving(why) => self.doom(seat, why),
            Stage::Ready if self.rules.max_jobs.is_some_and(|most| jobs >= most) => {
                self.doom(seat, Recycled::Jobs);
            }
            Stage::Ready if self.lives() > self.rules.least => self.note(now.checked_add(self.rules.idle_timeout)),
            _ => {}
        }
    }

    /// Notes when something has to be done about the first task of a process, and those behind it.
    pub(super) fn note_head(&mut self, seat: Seat, now: Instant) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        let Some(head) = process.head() else { return };
        let job = &self.jobs[head];
        let since = process.head_since;
        if job.is_answered && process.kill_at.is_none() {
            // It was cancelled while it was not the first.
            process.kill_at = Some((since + super::CANCEL_GRACE, crate::pool::Killed::Cancelled));
        }
        let kill = process.kill_at.map(|(at, _)| at);
        let deadline = if job.is_answered { None } else { job.deadline(since) };
        // Once it was tried there is nothing more to take back.
        let hold_up = (process.queue.len() > 1).then(|| since + HOLD_UP).filter(|due| *due > now);
        for due in [kill, deadline, hold_up, Some(now + LOOK_AGAIN)] {
            self.note(due);
        }
    }

    /// The process ends when it has done what it has.
    pub(super) fn leave(&mut self, seat: Seat, why: Recycled) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        if process.stage != Stage::Ready {
            return;
        }
        process.stage = Stage::Leaving(why);
        if process.queue.is_empty() {
            self.doom(seat, why);
        }
    }

    /// The keeper is to end a process that has nothing to do.
    fn doom(&mut self, seat: Seat, why: Recycled) {
        if let Some(process) = &mut self.seats[seat.0] {
            self.tally.recycled += 1;
            let jobs = process.jobs;
            self.kill(seat, Why::Recycle { jobs, why });
        }
    }
}
