//! How many processes there are, and when one is started: as many as there must be always, one more when tasks wait, later
//! when starts fail.

use std::time::{Duration, Instant};

use crate::pool::Recycled;
use crate::{Refusal, TaskError};

use super::process::Process;
use super::{Desks, Doors, Level, Order, Place, Seat, Stage, State, Why, Work};

/// The pause after the first start that failed; it doubles with each,
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so many in a row nobody waits for one any more.
const PATIENCE: u32 = 5;
/// How long a process may take until it says hello.
pub(super) const LONGEST_START: Duration = Duration::from_secs(10);
/// Its memory is looked at after so many tasks,
const WEIGH_JOBS: u64 = 64;
/// but not more often than this,
const WEIGH_PAUSE: Duration = Duration::from_millis(20);
/// or after this time with any.
const WEIGH_TIME: Duration = Duration::from_millis(100);

/// How starting goes.
#[derive(Debug, Default)]
pub(super) struct Staff {
    /// Starts that failed in a row.
    failures: u32,
    not_before: Option<Instant>,
    last_failure: Option<String>,
}

impl Staff {
    /// Gives the pause before the next one.
    pub(super) fn has_failed(&mut self, reason: String, now: Instant) -> Duration {
        self.failures += 1;
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16)).min(LONGEST_PAUSE);
        let pause = if self.failures >= PATIENCE { LONGEST_PAUSE } else { pause };
        self.not_before = Some(now + pause);
        self.last_failure = Some(reason);
        pause
    }

    /// A process has answered its first task: all is well. True if it was not before.
    pub(super) fn has_succeeded(&mut self) -> bool {
        std::mem::take(self).failures > 0
    }
}

impl<W: Work> State<W> {
    /// A process has said hello.
    pub(in crate::pool) fn ready(&mut self, seat: Seat, desks: &mut impl Desks<W>, now: Instant) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        if process.stage == Stage::Starting {
            process.stage = Stage::Ready;
            process.head_since = now;
            process.weighed = (0, now);
            self.staff.last_failure = None;
            self.staff.failures = self.staff.failures.min(PATIENCE - 1);
            if self.staff.failures > 0 {
                // Those that could not be started are tried again.
                self.note(Some(now));
            }
            if self.lives() > self.rules.least {
                self.note(now.checked_add(self.rules.idle_timeout));
            }
        }
        self.dispatch(desks, now);
    }

    /// A process could not be started, or ended before it said hello. Tells how many in a row, and how long the next has to wait.
    pub(in crate::pool) fn start_failed(&mut self, seat: Seat, reason: String, now: Instant) -> (u32, Duration) {
        self.seats[seat.0] = None;
        self.tally.failed_starts += 1;
        let pause = self.staff.has_failed(reason.clone(), now);
        let failures = self.staff.failures;
        if failures >= PATIENCE {
            self.refuse_waiting(&reason);
        }
        self.note(Some(now + pause));
        (failures, pause)
    }

    /// A process that was not wanted any more is gone before it said hello.
    pub(in crate::pool) fn forget_start(&mut self, seat: Seat) {
        self.seats[seat.0] = None;
    }

    /// Those that wait for a process of a level that has none end.
    fn refuse_waiting(&mut self, reason: &str) {
        for level in 0..self.levels.len() {
            if self.processes().any(|(_, process)| process.level == level && process.said_hello()) {
                continue;
            }
            for key in self.levels[level].line.take_all() {
                self.end(key, Err(Refusal::NotStarted { reason: reason.to_owned() }.into()));
            }
        }
    }

    /// Why no process can be had at all, if none can.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let is_over = self.staff.not_before.is_none_or(|then| now >= then);
        if self.staff.failures < PATIENCE || is_over || self.processes().any(|(_, process)| process.said_hello()) {
            return None;
        }
        self.staff.last_failure.clone()
    }

    /// Why the last start failed, until one has succeeded.
    pub(in crate::pool) fn last_failure(&self) -> Option<&str> {
        self.staff.last_failure.as_deref()
    }

    /// Starts what must be there: one of each level, and the least number.
    pub(super) fn replenish(&mut self, now: Instant) {
        if self.doors != Doors::Open || self.staff.failures >= PATIENCE {
            return;
        }
        let mut without: Vec<_> = (0..self.levels.len()).filter(|level| self.of_level(*level) == 0).collect();
        // Those for which tasks wait first, and of them who has waited longest.
        without.sort_by_key(|level| {
            let Level { line, wanting_since, .. } = &self.levels[*level];
            (line.is_empty(), wanting_since.is_none(), *wanting_since)
        });
        let waits = |state: &State<W>, level: usize| !state.levels[level].line.is_empty();
        // A spare process gives way to tasks that wait, or the two would take the place from each other for ever.
        let is_somebody_waiting = (0..self.levels.len()).any(|level| waits(self, level));
        for level in without {
            if self.lives() < self.rules.most && (waits(self, level) || !is_somebody_waiting) {
                self.start(level, now);
            }
        }
        while self.lives() < self.rules.least && self.start(self.most_wanted(), now) {}
    }

    /// The level for which most tasks wait that no starting process is meant for.
    fn most_wanted(&self) -> usize {
        let wanted = |level: &usize| self.levels[*level].line.len().saturating_sub(self.starting(*level));
        (0..self.levels.len()).rev().max_by_key(wanted).unwrap_or_default()
    }

    fn starting(&self, level: usize) -> usize {
        self.processes().filter(|(_, its)| its.level == level && its.stage == Stage::Starting).count()
    }

    /// Tasks of this level wait, and nobody is free: one more, if that is possible and none comes already.
    pub(super) fn hire(&mut self, level: usize, now: Instant) {
        if self.doors == Doors::GivenUp {
            return;
        }
        if self.starting(level) >= self.levels[level].line.len() || self.start(level, now) {
            return;
        }
        if self.of_level(level) == 0 {
            self.levels[level].wanting_since.get_or_insert(now);
        }
        if self.seats.iter().all(Option::is_some) {
            self.make_room_for(level);
        }
    }

    /// A process of another level gives way: an idle one; one that works only if this level has none at all.
    fn make_room_for(&mut self, level: usize) {
        if self.processes().any(|(_, process)| matches!(process.stage, Stage::Leaving(_) | Stage::Doomed)) {
            return;
        }
        let has_none = self.of_level(level) == 0;
        let others = self.processes().filter(|(_, process)| {
            process.level != level && process.stage == Stage::Ready && (has_none || process.is_idle())
        });
        let gives_way =
            others.min_by_key(|(_, process)| (process.queue.len(), process.head_since)).map(|(seat, _)| seat);
        if let Some(seat) = gives_way {
            self.leave(seat, Recycled::OtherLevel);
        }
    }

    /// False if it cannot be now.
    fn start(&mut self, level: usize, now: Instant) -> bool {
        if let Some(then) = self.staff.not_before.filter(|then| now < *then) {
            self.note(Some(then));
            return false;
        }
        let Some(seat) = self.seats.iter().position(Option::is_none) else { return false };
        self.seats[seat] = Some(Process::starting(level, now));
        self.tally.started += 1;
        self.levels[level].wanting_since = None;
        self.note(Some(now + LONGEST_START));
        self.orders.push(Order::Start { seat: Seat(seat), sandbox: self.levels[level].sandbox });
        true
    }

    /// The keeper is to kill a process.
    pub(super) fn kill(&mut self, seat: Seat, why: Why) {
        if let Some(process) = &mut self.seats[seat.0]
            && process.stage != Stage::Doomed
        {
            process.stage = Stage::Doomed;
            self.orders.push(Order::Kill { seat, why });
        }
    }

    /// Asks for the memory of a process, now and then.
    pub(super) fn weigh_if_time(&mut self, seat: Seat, now: Instant) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        let (jobs, at) = process.weighed;
        let since = now.saturating_duration_since(at);
        if since >= WEIGH_TIME || (process.jobs - jobs >= WEIGH_JOBS && since >= WEIGH_PAUSE) {
            process.weighed = (process.jobs, now);
            self.orders.push(Order::Weigh { seat });
        }
    }

    /// A process holds so many resident bytes.
    pub(in crate::pool) fn weighed(&mut self, seat: Seat, resident: u64) {
        if resident > self.rules.max_memory {
            self.leave(seat, Recycled::Memory { resident });
        }
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = (Seat, &Process<W::Slot>)> {
        self.seats.iter().enumerate().filter_map(|(seat, process)| Some((Seat(seat), process.as_ref()?)))
    }

    /// Processes that are there to stay.
    pub(in crate::pool) fn lives(&self) -> usize {
        self.processes().filter(|(_, process)| matches!(process.stage, Stage::Starting | Stage::Ready)).count()
    }

    /// Those of them that are of this level.
    fn of_level(&self, level: usize) -> usize {
        let stays = |process: &Process<W::Slot>| matches!(process.stage, Stage::Starting | Stage::Ready);
        self.processes().filter(|(_, process)| process.level == level && stays(process)).count()
    }

    /// How many of all are there in any state, and how many of them start.
    pub(in crate::pool) fn population(&self) -> (usize, usize) {
        let starting = self.processes().filter(|(_, process)| process.stage == Stage::Starting).count();
        (self.processes().count(), starting)
    }

    /// No new tasks; the processes end when none is left.
    pub(in crate::pool) fn drain(&mut self) {
        if self.doors == Doors::Open {
            self.doors = Doors::Draining;
        }
        self.close_if_done();
    }

    /// Ends everything now. Tells how many tasks waited, and how many ran.
    pub(in crate::pool) fn give_up(&mut self, desks: &mut impl Desks<W>) -> (usize, usize) {
        if self.doors == Doors::GivenUp {
            return (0, 0);
        }
        self.doors = Doors::GivenUp;
        let (mut queued, mut running) = (0, 0);
        for key in self.jobs.keys() {
            match self.jobs[key].place {
                Place::At(seat) => {
                    if let Some(slot) = self.seats[seat.0].as_ref().and_then(|process| process.slot_of(key)) {
                        desks.cancel(seat, slot);
                    }
                    running += usize::from(!self.jobs[key].is_answered);
                    self.answer(key, Err(TaskError::Cancelled));
                }
                Place::Waiting(_) | Place::Nowhere => {
                    queued += 1;
                    self.answer(key, Err(Refusal::ShuttingDown.into()));
                    self.end(key, Err(Refusal::ShuttingDown.into()));
                }
            }
        }
        self.levels.iter_mut().for_each(|level| drop(level.line.take_all()));
        self.kill_all();
        (queued, running)
    }

    /// A pool that drains and has nothing left to do needs no processes.
    pub(super) fn close_if_done(&mut self) {
        if self.doors == Doors::Draining && self.jobs.len() == 0 {
            self.kill_all();
        }
    }

    fn kill_all(&mut self) {
        for seat in 0..self.seats.len() {
            self.kill(Seat(seat), Why::Closing);
        }
    }

    /// Whether the pool is closed and has no process and no task any more.
    pub(in crate::pool) fn is_over(&self) -> bool {
        self.doors != Doors::Open && self.jobs.len() == 0 && self.seats.iter().all(Option::is_none)
    }
}

impl<S> Process<S> {
    /// Whether it has run, so that tasks may be given to it, or were.
    pub(super) fn said_hello(&self) -> bool {
        matches!(self.stage, Stage::Ready | Stage::Leaving(_))
    }
}
