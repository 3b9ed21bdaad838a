//! How a job or a message ends, and what its end means for others.

use std::time::Duration;

use phalanx_task::{Phase, Refusal, TaskError};

use super::item::{Family, Item, State};
use super::store::Ending;
use super::{Engine, News, Now};
use crate::job::ChildEnd;
use crate::{Error, JobEnd, JobId, payload};

/// How long dead jobs are kept, and at most how many of a queue.
const DEAD_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MOST_DEAD: u64 = 10_000;

/// How long the id of a message is remembered after its end, so that it is not taken twice if it is sent again.
const SETTLED_KEPT: Duration = Duration::from_secs(10 * 60);

impl Engine {
    /// With a result.
    pub(super) fn end_done(&mut self, item: Item, result: &[u8], now: Now) -> Result<(), Error> {
        self.end(item, State::Done, Some(result), now)
    }

    /// Given up, with its last error.
    pub(super) fn end_dead(&mut self, item: Item, error: &[u8], now: Now) -> Result<(), Error> {
        self.end(item, State::Dead, Some(error), now)
    }

    /// Its deadline passed while it waited.
    pub(super) fn end_late(&mut self, item: Item, now: Now) -> Result<(), Error> {
        self.end_dead(item, &payload::error(&TaskError::TimedOut(Phase::Queue)), now)
    }

    /// It has killed as many as it may.
    pub(super) fn end_poison(&mut self, item: Item, now: Now) -> Result<(), Error> {
        let poison = TaskError::Refused(Refusal::Poison { crashes: item.counts.crashes });
        self.end_dead(item, &payload::error(&poison), now)
    }

    /// Somebody said so; whoever runs it is told.
    pub(super) fn end_cancelled(&mut self, item: Item, now: Now) -> Result<(), Error> {
        self.end(item, State::Cancelled, None, now)
    }

    /// A message was worked on, or thrown away.
    pub(super) fn end_settled(&mut self, item: Item, now: Now) -> Result<(), Error> {
        self.end(item, State::Settled, None, now)
    }

    fn end(&mut self, mut item: Item, state: State, outcome: Option<&[u8]>, now: Now) -> Result<(), Error> {
        let from = std::mem::replace(&mut item.state, state);
        let kept = match state {
            State::Dead => DEAD_KEPT,
            State::Settled => SETTLED_KEPT,
            _ => item.terms.keep,
        };
        item.ended = Some(now.wall);
        item.due = Some(now.wall.after(kept).0);
        item.version = self.next_version();
        self.store.end(&item, &Ending { state, outcome })?;
        self.is_due_at(item.due);
        self.count(item.line, Some(from), Some(state), item.bytes);
        let queue = self.queue_of(item.line);
        queue.drain.ended(now.since_start);
        let (queue, dead) = (queue.id, queue.contents.dead);
        if let Some(hold) = item.hold.take() {
            self.batch.revoked.push(hold);
        }
        if let Some(unique) = &item.terms.unique
            && unique.ttl.is_zero()
        {
            self.store.let_key_go(queue, &unique.key, &item.id)?;
        }
        if state == State::Settled {
            return Ok(());
        }
        if self.waits.is_awaited(&item.id) {
            let bytes = outcome.unwrap_or_default().to_vec();
            self.batch.news.push((item.id, News::Ended(job_end(state, bytes))));
        }
        match item.terms.family {
            Family::None => {}
            Family::Child { .. } => {
                let bytes = outcome.unwrap_or_default();
                let end = match state {
                    State::Done => ChildEnd::Done(bytes.to_vec()),
                    State::Cancelled => ChildEnd::Failed(payload::error(&TaskError::Cancelled)),
                    _ => ChildEnd::Failed(bytes.to_vec()),
                };
                self.child_ended(&item, &end, now)?;
            }
            Family::Parent { .. } if state == State::Done => self.store.remove_parts(item.seq)?,
            Family::Parent { .. } => self.end_children(&item, now)?,
        }
        if state == State::Dead && dead > MOST_DEAD {
            self.bury_oldest(queue)?;
        }
        Ok(())
    }

    /// Throws away the dead job of a queue that has been dead for the longest time.
    fn bury_oldest(&mut self, queue: u32) -> Result<(), Error> {
        let mut oldest: Option<Item> = None;
        let lines: Vec<_> = self.queues[queue as usize].kinds.values().copied().collect();
        for line in lines {
            let dead = self.store.oldest_dead(line)?;
            oldest = oldest.into_iter().chain(dead).min_by_key(|item| (item.ended, item.seq));
        }
        oldest.map_or(Ok(()), |item| self.throw_away(item))
    }

    /// A row is gone, with all that belongs to it. It is not in memory.
    pub(super) fn throw_away(&mut self, item: Item) -> Result<(), Error> {
        if let Family::Parent { .. } = item.terms.family {
            self.store.remove_parts(item.seq)?;
            self.flows.remove(&item.seq);
        }
        if let Some(unique) = &item.terms.unique
            && !item.state.is_end()
        {
            let queue = self.queue_of(item.line).id;
            self.store.let_key_go(queue, &unique.key, &item.id)?;
        }
        self.store.delete(item.seq)?;
        self.count(item.line, Some(item.state), None, item.bytes);
        if self.waits.is_awaited(&item.id) {
            self.batch.news.push((item.id, News::Gone));
        }
        Ok(())
    }

    /// There is news of a job for those who wait for a change.
    pub(super) fn news(&mut self, job: &JobId) {
        if self.waits.is_awaited(job) {
            self.batch.news.push((*job, News::Changed));
        }
    }
}

/// The end as it is told.
pub(super) fn job_end(state: State, outcome: Vec<u8>) -> JobEnd {
    match state {
        State::Done | State::Settled => JobEnd::Done(outcome),
        State::Cancelled => JobEnd::Cancelled,
        _ => JobEnd::Dead(outcome),
    }
}
