//! What can be asked of the state.

use std::time::{Duration, Instant};

use phalanx_shared::Permit;

use super::{Seat, State, Work};

impl<W: Work> State<W> {
    /// How long a heavy task would wait if it came now.
    pub(in crate::pool) fn predicted_wait(&mut self, now: Instant) -> Duration {
        self.levels.iter_mut().map(|level| level.line.predicted_wait(None, now)).max().unwrap_or_default()
    }

    /// Tasks that wait for a process.
    pub(in crate::pool) fn queued(&self) -> usize {
        self.levels.iter().map(|level| level.line.len()).sum()
    }

    /// Tasks that processes have.
    pub(in crate::pool) fn placed(&self) -> usize {
        self.seats.iter().flatten().map(|process| process.queue.len()).sum()
    }

    /// Whether an answer may come so soon that it is worth to wait for it awake: there is but one task, or all that are the
    /// first of their processes are short; and a core is left for who waits.
    pub(in crate::pool) fn may_look_for_a_while(&self) -> bool {
        let is_lone = self.jobs.len() == 1;
        let mut busy = 0;
        for (_, process) in self.processes().filter(|(_, process)| !process.queue.is_empty()) {
            busy += 1;
            let is_short = process.queue.front().is_some_and(|head| self.kinds.is_short(head.kind));
            if process.is_loading || !(is_lone || is_short) {
                return false;
            }
        }
        (1..self.rules.cores).contains(&busy)
    }

    /// Permits that are not needed; to be dropped without the lock.
    pub(in crate::pool) fn spare_permits(&mut self) -> Vec<Permit> {
        self.share.spare()
    }

    pub(in crate::pool) fn ran_without_permit(&self) -> u64 {
        self.share.without_permit()
    }

    #[cfg(test)]
    pub(super) fn share_running(&self) -> usize {
        self.share.running
    }

    /// How many processes there are at least and at most, and how many tasks may wait.
    pub(in crate::pool) fn bounds(&self) -> (usize, usize, usize) {
        (self.rules.least, self.rules.most, self.rules.queue_limit)
    }

    pub(in crate::pool) fn seats(&self) -> usize {
        self.seats.len()
    }

    /// Tasks that the process of this seat has answered.
    pub(in crate::pool) fn jobs_of(&self, seat: Seat) -> u64 {
        self.seats[seat.0].as_ref().map_or(0, |process| process.jobs)
    }

    /// Whether a process of this seat has tasks, so that an answer may come.
    pub(in crate::pool) fn may_answer(&self, seat: Seat) -> bool {
        self.seats[seat.0].as_ref().is_some_and(|process| !process.queue.is_empty())
    }
}
