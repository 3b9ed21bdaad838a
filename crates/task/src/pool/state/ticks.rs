//! What the clock brings: deadlines, kills, heads that hold others up, processes that idle or do not start.

use std::time::{Duration, Instant};

use crate::pool::Recycled;
use crate::{Phase, TaskError};

use super::dispatch::HOLD_UP;
use super::jobs::Job;
use super::staff::LONGEST_START;
use super::{Desks, Killed, Seat, Stage, State, Why, Work};

/// How long a process may take to begin its first task, once it is at its desk. On a machine under heavy load it is tens of
/// milliseconds.
const LONGEST_WAY: Duration = Duration::from_secs(2);

impl<J> Job<J> {
    /// When it has to be done, if it is the first of its process since then.
    pub(super) fn deadline(&self, since: Instant) -> Option<Instant> {
        let from_start = self.from_start.and_then(|time| since.checked_add(time));
        [self.due, from_start].into_iter().flatten().min()
    }
}

impl<W: Work> State<W> {
    /// Does what is due, and finds out when the next is. All answers that are there were told before.
    pub(in crate::pool) fn tick(&mut self, desks: &mut impl Desks<W>, now: Instant) {
        self.due = None;
        for level in 0..self.levels.len() {
            for key in self.levels[level].line.overdue(now) {
                self.end(key, Err(TaskError::TimedOut(Phase::Queue)));
            }
        }
        for seat in 0..self.seats.len() {
            self.tick_process(Seat(seat), desks, now);
        }
        self.replenish(now);
        self.dispatch(desks, now);
        for level in 0..self.levels.len() {
            self.note(self.levels[level].line.next_due());
        }
        (0..self.seats.len()).for_each(|seat| self.note_process(Seat(seat), now));
    }

    fn tick_process(&mut self, seat: Seat, desks: &mut impl Desks<W>, now: Instant) {
        let Some(process) = &self.seats[seat.0] else { return };
        match process.stage {
            Stage::Doomed => return,
            Stage::Starting => {
                if now >= process.head_since + LONGEST_START {
                    self.kill(seat, Why::Silent);
                }
                return;
            }
            Stage::Ready if process.is_idle() => {
                let has_idled = now.saturating_duration_since(process.head_since) >= self.rules.idle_timeout;
                if has_idled && self.lives() > self.rules.least && self.is_spare(seat) {
                    self.leave(seat, Recycled::Idle);
                }
                return;
            }
            Stage::Ready | Stage::Leaving(_) => {}
        }
        if let Some((_, why)) = process.kill_at.filter(|(at, _)| now >= *at) {
            self.kill_for(seat, why);
            return;
        }
        self.stop_late(seat, desks, now);
        if self.is_stuck(seat, desks, now) {
            self.tally.recycled += 1;
            let jobs = self.seats[seat.0].as_ref().map_or(0, |process| process.jobs);
            self.kill(seat, Why::Recycle { jobs, why: Recycled::Stuck });
            return;
        }
        let Some(process) = &self.seats[seat.0] else { return };
        if process.queue.len() > 1 && now >= process.head_since + HOLD_UP {
            self.take_back(seat, desks);
        }
    }

    /// Whether a process has not begun its first task for long: it is stopped, or a task before has broken it.
    fn is_stuck(&self, seat: Seat, desks: &impl Desks<W>, now: Instant) -> bool {
        let Some(process) = &self.seats[seat.0] else { return false };
        let Some(slot) = process.queue.front().and_then(|placed| placed.slot) else { return false };
        now.saturating_duration_since(process.head_since) >= LONGEST_WAY && !desks.has_begun(seat, slot)
    }

    /// Stops the tasks of a process whose deadlines have passed.
    fn stop_late(&mut self, seat: Seat, desks: &mut impl Desks<W>, now: Instant) {
        let Some(process) = &self.seats[seat.0] else { return };
        let (head, since) = (process.head(), process.head_since);
        let late: Vec<_> = process
            .queue
            .iter()
            .map(|placed| placed.key)
            .filter(|key| {
                let job = &self.jobs[*key];
                let deadline = if Some(*key) == head { job.deadline(since) } else { job.due };
                !job.is_answered && deadline.is_some_and(|deadline| deadline <= now)
            })
            .collect();
        for key in late {
            self.stop(key, Killed::Late, desks, now);
        }
    }

    /// Whether its level has others.
    fn is_spare(&self, seat: Seat) -> bool {
        let Some(process) = &self.seats[seat.0] else { return false };
        self.levels.len() > self.rules.most
            || self
                .processes()
                .any(|(other, its)| other != seat && its.level == process.level && its.stage == Stage::Ready)
    }

    fn note_process(&mut self, seat: Seat, now: Instant) {
        let Some(process) = &self.seats[seat.0] else { return };
        let due = match process.stage {
            Stage::Starting => Some(process.head_since + LONGEST_START),
            Stage::Ready if process.is_idle() && self.lives() > self.rules.least && self.is_spare(seat) => {
                process.head_since.checked_add(self.rules.idle_timeout)
            }
            Stage::Ready | Stage::Leaving(_) => {
                let dues: Vec<_> =
                    process.queue.iter().skip(1).filter_map(|placed| self.jobs[placed.key].due).collect();
                dues.into_iter().for_each(|due| self.note(Some(due)));
                self.note_head(seat, now);
                return;
            }
            Stage::Doomed => None,
        };
        self.note(due);
    }
}
