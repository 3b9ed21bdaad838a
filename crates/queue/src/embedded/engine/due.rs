//! What happens by itself: times that come, deadlines that pass, what is kept no longer.

use std::cmp::Reverse;

use super::item::{Item, State};
use super::lease::Again;
use super::{Engine, Now};
use crate::Error;

/// Rows of one part; the others follow with the next commit.
const PART: usize = 512;

/// Results that are kept in all, whatever their time: those that end it first leave.
const MOST_RESULTS: u64 = 1_000_000;

impl Engine {
    /// All that is due now, a part of it at a time.
    pub(super) fn tick(&mut self, now: Now) -> Result<(), Error> {
        self.end_hold(now)?;
        self.free_orphans(now)?;
        self.expire_leases(now)?;
        self.write_leases(now)?;
        self.end_late_ones(now)?;
        self.end_short_waits(now)?;
        self.end_times(now)?;
        self.submit_scheduled(now)?;
        self.sweep(now)?;
        self.trim_windows();
        Ok(())
    }

    /// Ready ones whose deadline was found to have passed when their turn came.
    fn end_late_ones(&mut self, now: Now) -> Result<(), Error> {
        for seq in std::mem::take(&mut self.late) {
            let Some(item) = self.take(seq)? else { continue };
            if item.state == State::Ready {
                self.give_back(item, Again::AsBefore, None, now)?;
            }
        }
        Ok(())
    }

    /// Back-offs and short delays, by the clock that does not jump.
    fn end_short_waits(&mut self, now: Now) -> Result<(), Error> {
        while let Some(Reverse((at, seq, version))) = self.timers.peek().copied()
            && at <= now.since_start
        {
            self.timers.pop();
            let row = self.store.by_seq(seq)?;
            if let Some(row) = row.filter(|row| row.state == State::Scheduled && row.version == version) {
                self.give_back(row, Again::AsBefore, None, now)?;
            }
        }
        Ok(())
    }

    fn end_times(&mut self, now: Now) -> Result<(), Error> {
        if self.due_at.is_some_and(|due| due <= now.wall.0) {
            let rows = self.store.due(now.wall, PART)?;
            let is_last = rows.len() < PART;
            for row in rows {
                self.end_time(row, now)?;
            }
            if is_last {
                self.due_at = self.store.next_due()?;
            }
        }
        if self.keys_due_at.is_some_and(|due| due <= now.wall.0) {
            self.keys_due_at = self.store.sweep_keys(now.wall)?;
        }
        if self.results > MOST_RESULTS {
            for row in self.store.oldest_results(PART)? {
                self.throw_away(row)?;
            }
        }
        Ok(())
    }

    fn end_time(&mut self, row: Item, now: Now) -> Result<(), Error> {
        // Another row of this part may have changed it (a child of the same flow).
        let Some(row) = self.store.by_seq(row.seq)?.filter(|row| row.due.is_some_and(|due| due <= now.wall.0)) else {
            return Ok(());
        };
        if row.state.is_end() {
            return self.throw_away(row);
        }
        if self.items.get(&row.seq).is_some_and(|item| item.hold.is_some()) {
            // Its runner knows the deadline, and if it is gone the lease ends by itself.
            return self.store.clear_due(row.seq);
        }
        let Some(item) = self.take(row.seq)? else { return Ok(()) };
        match item.state {
            State::WaitingChildren => self.end_late(item, now),
            _ => self.give_back(item, Again::AsBefore, None, now),
        }
    }
}
