//! The end of a batch.

use std::time::Duration;

use super::store::Checkpoint;
use super::{ClientId, Engine, Now, later};
use crate::Error;
use crate::embedded::words::{Reply, ToClient};

/// How long what happens by itself rests after it has failed.
const REST: Duration = Duration::from_secs(1);

impl Engine {
    /// Makes durable what was applied (if anything was written), and then says everything that is true now: answers, deliveries,
    /// leases of claims that waited.
    pub fn commit(&mut self, now: Now) -> Vec<(ClientId, ToClient)> {
        self.last = now;
        let mut said = Vec::new();
        if self.broken.is_some() {
            self.repair(now);
        }
        let answers = match self.write_batch(now) {
            Ok(()) => self.confirm(now),
            Err(error) => {
                let answers = self.undo(&error, now);
                // Bringing the log over may make room.
                self.rest(now);
                answers
            }
        };
        say(&mut said, answers);
        if self.broken.is_none() {
            let served = self.serve_claims(now);
            say(&mut said, served);
            said.extend(self.serve_consumers(now));
            said.append(&mut self.batch.without_queue);
            let news = std::mem::take(&mut self.batch.news);
            let told = self.tell_news(news, now);
            say(&mut said, told);
        }
        let told = self.tell_overdue(now);
        say(&mut said, told);
        said
    }

    fn write_batch(&mut self, now: Now) -> Result<(), Error> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        if let Some(error) = &self.batch.failed {
            return Err(error.clone());
        }
        if self.resting_until.is_none_or(|until| until <= now.since_start) {
            self.resting_until = None;
            self.tick(now)?;
        }
        self.flush(now)?;
        self.store.commit()
    }

    /// What has to be in the file together with what was written.
    pub(super) fn flush(&mut self, _now: Now) -> Result<(), Error> {
        if !self.store.is_writing() {
            return Ok(());
        }
        self.store_names()?;
        for queue in &mut self.queues {
            if queue.is_changed {
                self.store.count(queue.id, &queue.contents)?;
                queue.is_changed = false;
            }
        }
        Ok(())
    }

    /// The batch is durable: whom to tell what.
    fn confirm(&mut self, now: Now) -> Vec<(ClientId, u64, Result<Reply, Error>)> {
        self.confirmed = self.named;
        self.batch.ended_leases.clear();
        let mut answers = std::mem::take(&mut self.batch.answers);
        let revoked = std::mem::take(&mut self.batch.revoked);
        let told = self.tell_revoked(revoked);
        answers.extend(told.into_iter().map(|(client, ask, reply)| (client, ask, Ok(reply))));
        let news = std::mem::take(&mut self.batch.news);
        answers.extend(self.tell_news(news, now));
        // What cannot be brought over now stays in the log.
        let _ = self.store.checkpoint(Checkpoint::IfLong);
        answers
    }

    fn rest(&mut self, now: Now) {
        if self.resting_until.is_none() {
            self.resting_until = Some(later(now, REST));
            let _ = self.store.checkpoint(Checkpoint::Now);
        }
    }

    /// When to call [`commit`](Engine::commit) again though nobody asks: measured from the `now` of the last call.
    pub fn next_due(&self) -> Option<Duration> {
        let now = self.last.since_start;
        let is_urgent = !self.batch.answers.is_empty()
            || !self.sweeps.is_empty()
            || !self.late.is_empty()
            || self.has_orphans
            || self.reclaim.ends_at() == Some(Duration::ZERO);
        let wall = |at: u64| Duration::from_millis(at.saturating_sub(self.last.wall.0));
        let by_itself = [
            is_urgent.then_some(Duration::ZERO),
            self.reclaim.ends_at().map(|at| at.saturating_sub(now)),
            self.young.front().map(|(at, _, _)| at.saturating_sub(now)),
            self.details_due_at.map(|at| at.saturating_sub(now)),
            self.leases_checked_at.map(|at| at.saturating_sub(now)),
            self.timers.peek().map(|timer| timer.0.0.saturating_sub(now)),
            self.due_at.map(wall),
            self.keys_due_at.map(wall),
            self.schedules.values().map(|schedule| wall(schedule.next.0)).min(),
        ];
        let by_itself = by_itself.into_iter().flatten().min();
        let by_itself = match self.resting_until {
            Some(until) => by_itself.map(|due| due.max(until.saturating_sub(now))),
            None => by_itself,
        };
        let asked = self.waits.next().map(|at| at.saturating_sub(now));
        by_itself.into_iter().chain(asked).chain(self.next_in_bucket()).min()
    }

    /// When a limit of rate lets the next one begin, if somebody waits for it.
    fn next_in_bucket(&self) -> Option<Duration> {
        if !self.waits.has_claims() {
            return None;
        }
        let lines = self.busy.iter().map(|line| &self.lines[line.0 as usize]);
        let waits =
            lines.filter_map(|line| line.bucket.clone()).map(|mut bucket| bucket.until_next(self.last.since_start));
        waits.filter(|wait| !wait.is_zero()).min()
    }
}

fn say(said: &mut Vec<(ClientId, ToClient)>, answers: Vec<(ClientId, u64, Result<Reply, Error>)>) {
    said.extend(answers.into_iter().map(|(client, ask, reply)| (client, ToClient::Answer { ask, reply })));
}
