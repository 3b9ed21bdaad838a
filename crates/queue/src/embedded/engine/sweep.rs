//! [`Sweep`]: what goes through many rows, a part with each commit, so that nobody else waits for it: listing and purging.

use super::item::{Family, Item, Seq, State};
use super::{ClientId, Engine, Now};
use crate::embedded::words::Reply;
use crate::job::{ChildEnd, JobFilter, JobState, JobStatus};
use crate::{Error, payload};
use phalanx_task::TaskError;

/// Rows of one part: some milliseconds.
const PART: usize = 1000;

/// Jobs of a page, if the filter does not say, and at most; bytes of an answer.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
const MOST_BYTES: usize = 8 << 20;

/// Something that goes through many rows.
#[derive(Debug)]
pub(super) struct Sweep {
    client: ClientId,
    ask: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    List { filter: JobFilter, before: Vec<u8>, found: Vec<JobStatus>, bytes: usize },
    Purge { queue: u32, which: Purge, from: Seq, up_to: Seq, count: u64 },
}

/// What is thrown away of a queue. Never what is leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purge {
    /// Messages that wait.
    Messages,
    /// All messages, and what is remembered of them: answered without a count.
    Deleted,
    /// Jobs that have ended.
    Ended,
    /// Jobs that have ended, or wait.
    EndedAndWaiting,
}

impl Sweep {
    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn ask(&self) -> u64 {
        self.ask
    }

    pub(super) fn list(client: ClientId, ask: u64, filter: JobFilter) -> Sweep {
        // Larger than all ids.
        let before = filter.before.map_or_else(|| vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
        Sweep { client, ask, what: What::List { filter, before, found: Vec::new(), bytes: 0 } }
    }

    pub(super) fn purge(client: ClientId, ask: u64, queue: u32, which: Purge) -> Sweep {
        Sweep { client, ask, what: What::Purge { queue, which, from: 0, up_to: Seq::MAX, count: 0 } }
    }
}

impl Engine {
    /// One part of the first sweep. Its answer when it is through.
    pub(super) fn sweep(&mut self, now: Now) -> Result<(), Error> {
        let Some(mut sweep) = self.sweeps.pop_front() else { return Ok(()) };
        let answer = match &mut sweep.what {
            What::List { filter, before, found, bytes } => {
                self.list_part(filter, before, found, bytes, now)?.then(|| Reply::Statuses(std::mem::take(found)))
            }
            What::Purge { queue, which, from, up_to, count } => {
                // What comes in from now on stays.
                *up_to = (*up_to).min(self.next_seq);
                let is_through = self.purge_part(*queue, *which, from, *up_to, count, now)?;
                is_through.then(|| if *which == Purge::Deleted { Reply::Done } else { Reply::Count(*count) })
            }
        };
        match answer {
            Some(reply) => self.batch.answers.push((sweep.client, sweep.ask, Ok(reply))),
            None => self.sweeps.push_back(sweep),
        }
        Ok(())
    }

    fn list_part(
        &mut self,
        filter: &JobFilter,
        before: &mut Vec<u8>,
        found: &mut Vec<JobStatus>,
        bytes: &mut usize,
        now: Now,
    ) -> Result<bool, Error> {
        let most = if filter.most == 0 { PAGE } else { filter.most.min(LARGEST_PAGE) };
        let rows = self.store.newest(before, PART)?;
        let is_last = rows.len() < PART;
        for row in rows {
            *before = row.id.as_bytes().to_vec();
            // What memory knows of it is newer.
            let row = self.items.get(&row.seq).cloned().unwrap_or(row);
            if !self.is_listed(filter, &row, now) {
                continue;
            }
            let status = self.status_of(&row)?;
            *bytes += 256 + status.error.as_ref().map_or(0, Vec::len);
            found.push(status);
            if found.len() >= most || *bytes > MOST_BYTES {
                return Ok(true);
            }
        }
        Ok(is_last)
    }

    fn is_listed(&mut self, filter: &JobFilter, row: &Item, now: Now) -> bool {
        if row.state.is_end() && row.due.is_some_and(|due| due <= now.wall.0) {
            return false;
        }
        let state = if row.hold.is_some() { JobState::Leased } else { row.state.shown() };
        let line = self.line(row.line);
        let is_of_kind = filter.kind.as_ref().is_none_or(|kind| line.kind.as_ref() == Some(kind));
        let queue = line.queue as usize;
        let is_of_queue = filter.queue.as_ref().is_none_or(|name| self.queues[queue].name == name.as_str());
        is_of_kind && is_of_queue && filter.state.is_none_or(|asked| asked == state)
    }

    fn purge_part(
        &mut self,
        queue: u32,
        which: Purge,
        from: &mut Seq,
        up_to: Seq,
        count: &mut u64,
        now: Now,
    ) -> Result<bool, Error> {
        let rows = self.store.rows(*from, PART)?;
        let is_last = rows.len() < PART;
        for row in rows {
            *from = row.seq + 1;
            if row.seq > up_to {
                return Ok(true);
            }
            let line = self.line(row.line);
            let (is_its, is_job) = (line.queue == queue, line.kind.is_some());
            let is_held = self.items.get(&row.seq).is_some_and(|item| item.hold.is_some());
            let goes = match which {
                Purge::Messages => !is_job && !row.state.is_end(),
                Purge::Deleted => !is_job,
                Purge::Ended => is_job && row.state.is_end(),
                Purge::EndedAndWaiting => is_job,
            };
            if is_its && goes && !is_held {
                *count += u64::from(row.state != State::Settled);
                self.purge_row(row, now)?;
            }
        }
        Ok(is_last)
    }

    fn purge_row(&mut self, row: Item, now: Now) -> Result<(), Error> {
        let row = self.take(row.seq)?.unwrap_or(row);
        if row.state.is_end() {
            return self.throw_away(row);
        }
        match row.terms.family {
            Family::Child { .. } => {
                let cancelled = ChildEnd::Failed(payload::error(&TaskError::Cancelled));
                self.child_ended(&row, &cancelled, now)?;
            }
            Family::Parent { .. } => self.end_children(&row, now)?,
            Family::None => {}
        }
        // The end of its flow may have been its own.
        match self.store.by_seq(row.seq)? {
            Some(row) => self.throw_away(row),
            None => Ok(()),
        }
    }
}
