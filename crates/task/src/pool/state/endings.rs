//! What becomes of the tasks of a process that is no more: the one that it had begun ends with it, the others are given to
//! another process.

use std::time::Instant;

use crate::{Crash, Ending, Phase, Refusal, TaskError};

use super::{Desks, Killed, Seat, Stage, State, Why, Work};

/// A task whose processes died so often before they began it is not tried further.
const MOST_DEATHS: u32 = 3;

/// What a process left behind.
#[derive(Debug)]
pub(in crate::pool) struct Death {
    /// Kind and number of the task that it had begun.
    pub(in crate::pool) task: Option<(usize, u64)>,
    /// How it ended, as the caller of that task is told.
    pub(in crate::pool) crash: Crash,
    /// Whether the pool wanted it so.
    pub(in crate::pool) was_wanted: bool,
}

impl<W: Work> State<W> {
    /// What a process said makes no sense: it is killed.
    pub(in crate::pool) fn malformed(&mut self, seat: Seat, what: String) {
        if let Some(process) = &mut self.seats[seat.0] {
            process.malformed.get_or_insert(what);
            self.kill(seat, Why::Malformed);
        }
    }

    /// A process that had said hello is gone; all that it had answered was told before. Its desk is still there.
    pub(in crate::pool) fn died(
        &mut self,
        seat: Seat,
        mut crash: Crash,
        desks: &mut impl Desks<W>,
        now: Instant,
    ) -> Option<Death> {
        self.waits_no_more(seat);
        let process = self.seats[seat.0].take()?;
        let is_malformed = process.malformed.is_some();
        let was_wanted = process.stage == Stage::Doomed && !is_malformed;
        if let Some(what) = process.malformed {
            crash.ending = Ending::Malformed(what);
        }
        if !was_wanted {
            self.tally.died += 1;
        }
        if !process.queue.is_empty() {
            self.share.end();
        }
        let has_culprit = process
            .queue
            .front()
            .is_some_and(|head| is_malformed || head.slot.is_some_and(|slot| desks.has_begun(seat, slot)));
        let mut task = None;
        for (index, placed) in process.queue.iter().enumerate().rev() {
            let key = placed.key;
            if index == 0 && has_culprit {
                task = Some((placed.kind, placed.id));
                self.end(key, Err(TaskError::Crashed(crash.clone())));
                continue;
            }
            if self.jobs[key].is_answered {
                self.end(key, Err(TaskError::Cancelled));
                continue;
            }
            let job = &mut self.jobs[key];
            // Who was only queued behind the one that killed the process has nothing to do with it.
            job.deaths += u32::from(!has_culprit);
            if job.deaths >= MOST_DEATHS {
                let reason = format!("{MOST_DEATHS} processes died before they began it, the last by {}", crash.ending);
                self.end(key, Err(Refusal::NotStarted { reason }.into()));
            } else if job.due.is_some_and(|due| due <= now) {
                self.end(key, Err(TaskError::TimedOut(Phase::Queue)));
            } else {
                self.tally.dispatched_again += 1;
                self.wait_again(key);
            }
        }
        if process.jobs == 0 && task.is_none() && !was_wanted {
            // One that dies of nothing is no better than one that does not start.
            self.staff.has_failed(format!("a fresh job process ended by {}", crash.ending), now);
        }
        self.replenish(now);
        Some(Death { task, crash, was_wanted })
    }

    /// The first task of a process has not stopped in time.
    pub(super) fn kill_for(&mut self, seat: Seat, why: Killed) {
        let Some(head) = self.seats[seat.0].as_ref().and_then(|process| process.queue.front().copied()) else { return };
        self.tally.killed += 1;
        self.kill(seat, Why::Stop { kind: head.kind, id: head.id, why });
    }
}
