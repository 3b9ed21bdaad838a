//! How attempts went, as their holders say; cancelling and reviving.

use phalanx_task::{Refusal, TaskError};

use super::item::{Family, Item, Seq, State};
use super::lease::Again;
use super::submit::{JOBS, LARGEST};
use super::{Engine, Now};
use crate::job::{Finish, Outcome, Recorded};
use crate::{Error, JobId, Token, payload};

impl Engine {
    pub(super) fn finish(&mut self, finishes: Vec<Finish>, now: Now) -> Result<Vec<Recorded>, Error> {
        finishes.into_iter().map(|Finish { token, outcome }| self.finish_one(&token, outcome, now)).collect()
    }

    fn finish_one(&mut self, token: &Token, outcome: Outcome, now: Now) -> Result<Recorded, Error> {
        if self.is_revoked(token) {
            // It may say so again, until its lease would have ended.
            return Ok(if outcome == Outcome::Cancelled { Recorded::Yes } else { Recorded::Stale });
        }
        let item = match self.attempt(token)? {
            Attempt::Is(seq) => self.take(seq)?,
            Attempt::WasRecorded => return Ok(Recorded::Yes),
            Attempt::IsStale => None,
        };
        let Some(mut item) = item else { return Ok(Recorded::Stale) };
        item.hold = None;
        item.counts.is_settled = true;
        let now_counts = &mut item.counts;
        match outcome {
            Outcome::Done(result) if result.len() > LARGEST => {
                let (bytes, limit) = (result.len() as u64, LARGEST as u64);
                let error = TaskError::Refused(Refusal::TooBig { bytes, limit });
                self.end_dead(item, &payload::error(&error), now)?;
            }
            Outcome::Done(result) => self.end_done(item, &result, now)?,
            Outcome::Failed { error, hopeless } => {
                now_counts.errors += 1;
                let errors = now_counts.errors;
                if hopeless || errors >= item.terms.retry.attempts {
                    self.end_dead(item, within_limit(&error), now)?;
                } else {
                    self.try_again(item, errors, &error, now)?;
                }
            }
            Outcome::Crashed { error } => {
                now_counts.crashes += 1;
                let crashes = now_counts.crashes;
                if crashes >= item.terms.retry.crashes {
                    self.end_poison(item, now)?;
                } else {
                    self.try_again(item, crashes, &error, now)?;
                }
            }
            Outcome::Returned => {
                now_counts.attempts = now_counts.attempts.saturating_sub(1);
                self.give_back(item, Again::AsBefore, None, now)?;
            }
            Outcome::Cancelled => self.end_cancelled(item, now)?,
        }
        Ok(Recorded::Yes)
    }

    /// After so many of its kind of failures: a random part of the back-off.
    fn try_again(&mut self, item: Item, failures: u32, error: &[u8], now: Now) -> Result<(), Error> {
        let wait = item.terms.retry.wait(failures, self.random());
        self.give_back(item, Again::From(now.wall.after(wait)), Some(within_limit(error)), now)
    }

    /// Which attempt this token speaks of. One whose lease is gone (by a restart, or by time) still counts, as long as no other was
    /// begun and the job has not ended.
    pub(super) fn attempt(&mut self, token: &Token) -> Result<Attempt, Error> {
        let in_memory = self.ids.get(&token.job).and_then(|seq| self.items.get(seq));
        if let Some(item) = in_memory
            && let Some(hold) = &item.hold
        {
            return Ok(if hold.token == *token { Attempt::Is(item.seq) } else { Attempt::IsStale });
        }
        let item = match in_memory {
            Some(item) => Some(item.clone()),
            None => self.store.by_id(&token.job, JOBS)?,
        };
        let Some(item) = item else { return Ok(Attempt::IsStale) };
        self.late_attempt(&item, token)
    }

    /// The same of a row that nobody holds. If the attempt counts, the row says afterwards that it was begun.
    pub(super) fn late_attempt(&mut self, item: &Item, token: &Token) -> Result<Attempt, Error> {
        if item.is_recorded(token) {
            return Ok(Attempt::WasRecorded);
        }
        if item.state.is_end() || !item.is_latest(token, self.granted) {
            return Ok(Attempt::IsStale);
        }
        let seq = item.seq;
        if !self.items.contains_key(&seq) {
            let Some(item) = self.store.by_seq(seq)? else { return Ok(Attempt::IsStale) };
            self.adopt(item);
        }
        if let Some(item) = self.items.get_mut(&seq) {
            item.counts.show(token);
        }
        Ok(Attempt::Is(seq))
    }

    /// A row of the file is in memory, beside its line, until it is taken.
    pub(super) fn adopt(&mut self, item: Item) {
        if self.is_job(item.line) {
            self.ids.insert(item.id, item.seq);
        }
        self.windowed += 1;
        self.items.insert(item.seq, item);
    }

    pub(super) fn cancel(&mut self, job: &JobId, now: Now) -> Result<(), Error> {
        let item = self.known(job, now)?;
        if item.state.is_end() {
            return Err(wrong_state(&item, "to be cancelled it has to wait or to run"));
        }
        match self.take(item.seq)? {
            Some(item) => self.end_cancelled(item, now),
            None => Ok(()),
        }
    }

    pub(super) fn revive(&mut self, job: &JobId, now: Now) -> Result<(), Error> {
        let mut item = self.known(job, now)?;
        if !matches!(item.state, State::Dead | State::Cancelled) {
            return Err(wrong_state(&item, "to be revived it has to be dead or cancelled"));
        }
        if item.terms.deadline.is_some_and(|deadline| deadline <= now.wall) {
            return Err(wrong_state(&item, "its deadline has passed; submit it anew"));
        }
        let unique = item.terms.unique.clone();
        if let Some(unique) = &unique {
            let queue = self.line(item.line).queue;
            let holder = self.store.key_holder(queue, &unique.key, now.wall)?;
            if let Some(holder) = holder.filter(|holder| *holder != item.id) {
                return Err(wrong_state(&item, &format!("job {holder} holds its unique key")));
            }
        }
        item.counts.refresh(self.epoch);
        let (line, id) = (item.line, item.id);
        match item.terms.family {
            Family::Parent { children, .. } if !self.has_all_results(item.seq, children)? => {
                self.revive_flow(item, children, now)?;
            }
            Family::Child { index, .. } => {
                if let Some(parent) = item.parent {
                    self.store.remove_part(parent, index)?;
                    self.flows.remove(&parent);
                }
                self.give_back(item, Again::From(now.wall), None, now)?;
            }
            _ => self.give_back(item, Again::From(now.wall), None, now)?,
        }
        self.take_key(line, &id, unique.as_ref(), now)
    }

    fn has_all_results(&self, parent: Seq, children: u32) -> Result<bool, Error> {
        Ok(self.store.parts(parent)?.len() == children as usize && self.store.failed_parts(parent)?.is_empty())
    }

    /// The one that gathers waits again, and its children that failed or were cancelled run again.
    fn revive_flow(&mut self, mut parent: Item, children: u32, now: Now) -> Result<(), Error> {
        let failed = self.store.failed_parts(parent.seq)?;
        let known = self.store.parts(parent.seq)?.len() - failed.len();
        let rows = self.store.children(parent.seq)?;
        let again: Vec<Item> = rows.into_iter().filter(|child| child.state != State::Done).collect();
        if again.len() + known < children as usize {
            return Err(wrong_state(&parent, "some of its children are not kept any more; submit the flow anew"));
        }
        for index in failed {
            self.store.remove_part(parent.seq, index)?;
        }
        self.flows.remove(&parent.seq);
        let from = std::mem::replace(&mut parent.state, State::WaitingChildren);
        (parent.ended, parent.due) = (None, parent.terms.deadline.map(|deadline| deadline.0));
        parent.version = self.next_version();
        self.store.give_back(&parent, None)?;
        self.is_due_at(parent.due);
        self.count(parent.line, Some(from), Some(State::WaitingChildren), parent.bytes);
        self.news(&parent.id);
        for mut child in again.into_iter().filter(|child| child.state.is_end()) {
            child.counts.refresh(self.epoch);
            self.give_back(child, Again::From(now.wall), None, now)?;
        }
        Ok(())
    }

    /// A job that is kept, as it is now.
    pub(super) fn known(&self, job: &JobId, now: Now) -> Result<Item, Error> {
        let item = match self.ids.get(job).and_then(|seq| self.items.get(seq)) {
            Some(item) => Some(item.clone()),
            None => self.store.by_id(job, JOBS)?,
        };
        let is_kept = |item: &Item| !item.state.is_end() || item.due.is_none_or(|due| due > now.wall.0);
        item.filter(is_kept).ok_or_else(|| Error::NoSuchJob { job: job.to_string() })
    }
}

/// What a token speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The latest attempt at this row, which is in memory.
    Is(Seq),
    /// Its end was recorded before.
    WasRecorded,
    /// Another attempt was begun, or the row has ended otherwise.
    IsStale,
}

fn wrong_state(item: &Item, why: &str) -> Error {
    let state = if item.hold.is_some() { crate::JobState::Leased } else { item.state.shown() };
    Error::WrongState { job: item.id.to_string(), reason: format!("it is {state}; {why}") }
}

/// An error of a task is short (8 KiB of text); whatever says more than the store takes is no error of ours.
fn within_limit(error: &[u8]) -> &[u8] {
    if error.len() > LARGEST { &[] } else { error }
}
