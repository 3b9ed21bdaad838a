//! Flows: children, and the job that waits for them.

use std::collections::BTreeSet;

use super::item::{Family, Item, Seq, State, Terms};
use super::submit::{JOBS, check};
use super::{Engine, Now};
use crate::job::{ChildEnd, NewFlow, OnFailure, Submitted, Unique};
use crate::{Error, JobId, payload};
use phalanx_task::TaskError;

/// Children of one flow.
const MOST_CHILDREN: usize = 10_000;

/// Bytes of all results together that a gatherer is given. Larger ones belong into the blob store.
const MOST_GATHERED: u64 = 12 << 20;

/// Flows of which memory knows the children that have ended.
const MOST_KNOWN: usize = 10_000;

impl Engine {
    /// Children and the job that gathers, together or not at all.
    pub(super) fn submit_flow(&mut self, flow: NewFlow, now: Now) -> Result<Submitted, Error> {
        let NewFlow { children, gather, on_failure } = flow;
        let head = gather.id;
        let malformed = |reason: String| Error::Malformed { what: format!("the flow {head}"), reason };
        if !(1..=MOST_CHILDREN).contains(&children.len()) {
            return Err(malformed(format!("it has {} children, and may have 1 to {MOST_CHILDREN}", children.len())));
        }
        if self.is_known(&head)? {
            return Ok(Submitted::Taken(head));
        }
        for job in children.iter().chain([&gather]) {
            check(job)?;
            if let Some(unique) = &job.unique {
                let queue = self.queue_for(job.queue.as_str())?;
                if let Some(holder) = self.store.key_holder(queue, &unique.key, now.wall)? {
                    return Ok(Submitted::Held(holder));
                }
            }
        }
        let count = u32::try_from(children.len()).unwrap_or(u32::MAX);
        let line = self.line_for(gather.queue.as_str(), Some(&gather.kind))?;
        self.has_room(line, 1 + children.len(), gather.payload.len(), now)?;
        let terms = Terms::of_job(&gather, Family::Parent { children: count, on_failure }, now.wall);
        let mut parent = self.new_item(head, line, gather.not_before, terms, gather.payload.len(), now);
        parent.state = State::WaitingChildren;
        parent.due = gather.deadline.map(|deadline| deadline.0);
        let parent_row = parent.seq;
        let mut rows: Vec<(Item, Vec<u8>, Option<Unique>)> = vec![(parent, gather.payload, gather.unique)];
        for (index, job) in (0_u32..).zip(children) {
            let line = self.line_for(job.queue.as_str(), Some(&job.kind))?;
            self.has_room(line, count as usize, job.payload.len(), now)?;
            let terms = Terms::of_job(&job, Family::Child { parent: head, index }, now.wall);
            let mut item = self.new_item(job.id, line, job.not_before, terms, job.payload.len(), now);
            item.parent = Some(parent_row);
            rows.push((item, job.payload, job.unique));
        }
        self.store_names()?;
        self.store.all_or_nothing(|store| {
            for (item, payload, _) in &rows {
                if !store.insert(item, JOBS, payload)? {
                    return Err(malformed(format!("its child {} was submitted before, by itself or twice", item.id)));
                }
            }
            Ok(())
        })?;
        for (item, payload, unique) in rows {
            self.take_key(item.line, &item.id.clone(), unique.as_ref(), now)?;
            self.added(item, payload);
        }
        Ok(Submitted::Taken(head))
    }

    /// A child has ended: the one that gathers may be ready now, or be dead with it.
    pub(super) fn child_ended(&mut self, child: &Item, end: &ChildEnd, now: Now) -> Result<(), Error> {
        let (Family::Child { index, .. }, Some(parent)) = (child.terms.family, child.parent) else { return Ok(()) };
        let Some(parent) = self.store.by_seq(parent)?.filter(|parent| parent.state == State::WaitingChildren) else {
            return Ok(());
        };
        let Family::Parent { children, on_failure } = parent.terms.family else { return Ok(()) };
        self.store.add_part(parent.seq, index, end)?;
        let ended = self.ended_children(parent.seq)?;
        ended.insert(index);
        let all_have = ended.len() >= children as usize;
        match end {
            ChildEnd::Failed(error) if on_failure == OnFailure::FailFast => {
                self.flows.remove(&parent.seq);
                self.end_dead(parent, error, now)
            }
            _ if all_have => {
                self.flows.remove(&parent.seq);
                self.gather(parent, now)
            }
            _ => {
                self.news(&parent.id);
                Ok(())
            }
        }
    }

    /// The children that have ended: from memory, or from the file.
    pub(super) fn ended_children(&mut self, parent: Seq) -> Result<&mut BTreeSet<u32>, Error> {
        if !self.flows.contains_key(&parent) {
            if self.flows.len() >= MOST_KNOWN {
                self.flows.clear();
            }
            let ended = self.store.parts(parent)?.into_iter().collect();
            self.flows.insert(parent, ended);
        }
        Ok(self.flows.entry(parent).or_default())
    }

    /// All children have ended.
    fn gather(&mut self, parent: Item, now: Now) -> Result<(), Error> {
        let bytes = self.store.part_bytes(parent.seq)?;
        if bytes > MOST_GATHERED {
            let error = TaskError::failed(format_args!(
                "the results of its children have {bytes} bytes together, and a gatherer is given {MOST_GATHERED}: \
                 return large ones as blobs"
            ));
            return self.end_dead(parent, &payload::error(&error), now);
        }
        let not_before = parent.not_before;
        self.make_ready(parent, not_before, now)
    }

    /// The one that gathers has ended without them: those that wait are cancelled, those that run are told.
    pub(super) fn end_children(&mut self, parent: &Item, now: Now) -> Result<(), Error> {
        self.flows.remove(&parent.seq);
        for child in self.store.children(parent.seq)? {
            if !child.state.is_end() {
                let child = self.take(child.seq)?.unwrap_or(child);
                self.end_cancelled(child, now)?;
            }
        }
        Ok(())
    }

    /// How a flow stands: children in all, and those that have ended.
    pub(super) fn children_of(&mut self, item: &Item) -> Result<Option<(u32, u32)>, Error> {
        let Family::Parent { children, .. } = item.terms.family else { return Ok(None) };
        let ended = match item.state {
            State::WaitingChildren => self.ended_children(item.seq)?.len(),
            State::Dead | State::Cancelled => self.store.parts(item.seq)?.len(),
            _ => children as usize,
        };
        Ok(Some((children, u32::try_from(ended).unwrap_or(u32::MAX))))
    }

    /// Unique keys of a job that was taken.
    pub(super) fn take_key(
        &mut self,
        line: super::item::LineId,
        job: &JobId,
        unique: Option<&Unique>,
        now: Now,
    ) -> Result<(), Error> {
        let Some(unique) = unique else { return Ok(()) };
        let queue = self.line(line).queue;
        let until = (!unique.ttl.is_zero()).then(|| now.wall.after(unique.ttl));
        self.store.take_key(queue, &unique.key, job, until)?;
        let next = until.map(|until| until.0);
        self.keys_due_at = self.keys_due_at.into_iter().chain(next).min();
        Ok(())
    }
}
