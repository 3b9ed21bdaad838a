//! What comes in: jobs and flows, and how any row gets into its line.

use super::item::{Counts, Family, Item, LineId, Seq, State, Terms};
use super::line::{Line, Placed, QueueState, WINDOW};
use super::{Engine, Named, Now, earlier};
use crate::job::{NewJob, Submitted, Work, rank};
use crate::{Error, JobId, Message, UnixMillis};

/// Bytes of a payload, or a result, that the store takes. Larger ones go to the blob store.
pub(super) const LARGEST: usize = 1 << 20;

/// Payloads of what waits that are kept in memory, so that a claim that follows its submission at once reads nothing.
const CACHED: usize = 16 << 20;

/// Kinds in all queues together: each has a few hundred bytes in memory for ever.
const MOST_LINES: usize = 10_000;

/// Rows in all windows together; lines are cut to a part of their windows beyond that.
pub(super) const MOST_IN_WINDOWS: usize = 32 * WINDOW;

impl Engine {
    pub(super) fn submit(&mut self, works: Vec<Work>, now: Now) -> Result<Vec<Result<Submitted, Error>>, Error> {
        let mut submitted = Vec::with_capacity(works.len());
        for work in works {
            let done = match work {
                Work::Job(job) => self.submit_job(job, now),
                Work::Flow(flow) => self.submit_flow(flow, now),
            };
            match done {
                Err(error @ Error::Store { .. }) => return Err(error),
                done => submitted.push(done),
            }
        }
        Ok(submitted)
    }

    pub(super) fn submit_job(&mut self, job: NewJob, now: Now) -> Result<Submitted, Error> {
        check(&job)?;
        let line = self.line_for(job.queue.as_str(), Some(&job.kind))?;
        if let Some(unique) = &job.unique {
            if self.is_known(&job.id)? {
                return Ok(Submitted::Taken(job.id));
            }
            let queue = self.line(line).queue;
            if let Some(holder) = self.store.key_holder(queue, &unique.key, now.wall)? {
                return Ok(Submitted::Held(holder));
            }
        }
        if let Err(full) = self.has_room(line, 1, job.payload.len(), now) {
            return if self.is_known(&job.id)? { Ok(Submitted::Taken(job.id)) } else { Err(full) };
        }
        let terms = Terms::of_job(&job, Family::None, now.wall);
        let item = self.new_item(job.id, line, job.not_before, terms, job.payload.len(), now);
        let id = job.id;
        if self.add(item, job.payload)? {
            self.take_key(line, &id, job.unique.as_ref(), now)?;
        }
        Ok(Submitted::Taken(id))
    }

    /// Whether a job of this id is there, in any state.
    pub(super) fn is_known(&self, id: &JobId) -> Result<bool, Error> {
        Ok(self.ids.contains_key(id) || self.store.by_id(id, JOBS)?.is_some())
    }

    pub(super) fn has_room(&mut self, line: LineId, more: usize, bytes: usize, now: Now) -> Result<(), Error> {
        let most = (self.settings.max_waiting, self.settings.max_bytes);
        self.queue_of(line).has_room(more as u64, bytes as u64, most, now.since_start)
    }

    /// A row that begins its life now, or at this moment.
    pub(super) fn new_item(
        &mut self,
        id: JobId,
        line: LineId,
        not_before: UnixMillis,
        terms: Terms,
        bytes: usize,
        now: Now,
    ) -> Item {
        self.next_seq += 1;
        let state = if not_before > now.wall { State::Scheduled } else { State::Ready };
        let from = not_before.max(now.wall);
        let due = earlier((state == State::Scheduled).then_some(not_before), terms.deadline);
        Item {
            seq: self.next_seq,
            id,
            line,
            state,
            rank: rank(from, terms.priority),
            due: due.map(|due| due.0),
            parent: None,
            version: self.next_version(),
            not_before,
            counts: Counts::default(),
            ended: None,
            bytes: bytes as u64,
            terms: Box::new(terms),
            details: None,
            payload: None,
            hold: None,
        }
    }

    /// Stores a new row and puts it into its line; `false` if its id is there already.
    pub(super) fn add(&mut self, item: Item, payload: Vec<u8>) -> Result<bool, Error> {
        self.store_names()?;
        let space = self.space(item.line);
        if !self.store.insert(&item, space, &payload)? {
            return Ok(false);
        }
        self.added(item, payload);
        Ok(true)
    }

    /// A new row is in the file.
    pub(super) fn added(&mut self, mut item: Item, payload: Vec<u8>) {
        self.count(item.line, None, Some(item.state), item.bytes);
        self.is_due_at(item.due);
        if item.state == State::Ready {
            item.payload = Some(payload);
            self.place(item);
        }
    }

    /// A ready row that nobody holds goes into its line.
    pub(super) fn place(&mut self, mut item: Item) {
        let (id, at, seq) = (item.line, item.place(), item.seq);
        let is_alone = self.reclaim.is_holding();
        let line = self.line(id);
        let placed = if is_alone { line.place_alone(at) } else { line.place(at) };
        let (is_job, length) = (line.kind.is_some(), line.len());
        self.busy.insert(id);
        if placed == Placed::InFile {
            return;
        }
        let bytes = item.payload.as_ref().map_or(0, Vec::len);
        if self.cached + bytes > CACHED {
            item.payload = None;
        } else {
            self.cached += bytes;
        }
        if is_job {
            self.ids.insert(item.id, seq);
        }
        self.windowed += 1;
        self.items.insert(seq, item);
        if length > 2 * WINDOW {
            self.trim(id, WINDOW);
        }
    }

    /// Leaves so many rows of a line in memory.
    pub(super) fn trim(&mut self, line: LineId, most: usize) {
        for seq in self.line(line).trim(most) {
            self.leave_memory(seq);
        }
    }

    /// A row that waits is in the file only.
    pub(super) fn leave_memory(&mut self, seq: Seq) {
        if let Some(item) = self.items.remove(&seq) {
            self.windowed = self.windowed.saturating_sub(1);
            self.forget_payload(&item);
            if self.is_job(item.line) {
                self.ids.remove(&item.id);
            }
        }
    }

    pub(super) fn forget_payload(&mut self, item: &Item) {
        self.cached = self.cached.saturating_sub(item.payload.as_ref().map_or(0, Vec::len));
    }

    /// A row goes from one state to another, from nowhere or to nowhere.
    pub(super) fn count(&mut self, line: LineId, from: Option<State>, to: Option<State>, bytes: u64) {
        let is_done = |state: Option<State>| i64::from(state == Some(State::Done));
        self.results = self.results.saturating_add_signed(is_done(to) - is_done(from));
        let queue = self.queue_of(line);
        queue.contents.moved(from, to, bytes);
        queue.is_changed = true;
    }

    pub(super) fn is_job(&self, line: LineId) -> bool {
        self.lines[line.0 as usize].kind.is_some()
    }

    /// Within which ids are unique: jobs among all jobs, messages in their queue.
    pub(super) fn space(&mut self, line: LineId) -> i64 {
        let line = self.line(line);
        if line.kind.is_some() { JOBS } else { i64::from(line.queue) + 1 }
    }

    /// The line of a kind, or of the messages, of a queue. Made if it is new.
    pub(super) fn line_for(&mut self, queue: &str, kind: Option<&str>) -> Result<LineId, Error> {
        let queue = self.queue_for(queue)?;
        let state = &self.queues[queue as usize];
        let known = kind.map_or(state.messages, |kind| state.kinds.get(kind).copied());
        if let Some(line) = known {
            return Ok(line);
        }
        if self.lines.len() >= MOST_LINES {
            let reason = format!("there are {MOST_LINES} kinds of jobs and queues already; use fewer names");
            return Err(Error::Refused { broker: "embedded".to_owned(), reason });
        }
        let id = LineId(u32::try_from(self.lines.len()).unwrap_or(u32::MAX));
        self.lines.push(Line::new(id, queue, kind.map(str::to_owned)));
        self.knows(id);
        Ok(id)
    }

    /// Its queue finds this line by its kind.
    pub(super) fn knows(&mut self, id: LineId) {
        let Line { queue, kind, .. } = &self.lines[id.0 as usize];
        let (queue, kind) = (*queue as usize, kind.clone());
        match kind {
            Some(kind) => drop(self.queues[queue].kinds.insert(kind, id)),
            None => self.queues[queue].messages = Some(id),
        }
    }

    pub(super) fn queue_for(&mut self, name: &str) -> Result<u32, Error> {
        if let Some(queue) = self.queue_names.get(name) {
            return Ok(*queue);
        }
        if self.queues.len() >= MOST_LINES {
            let reason = format!("there are {MOST_LINES} queues already; use fewer names");
            return Err(Error::Refused { broker: "embedded".to_owned(), reason });
        }
        let id = u32::try_from(self.queues.len()).unwrap_or(u32::MAX);
        self.queues.push(QueueState::new(id, name.to_owned()));
        self.queue_names.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Gives new queues and lines their rows. Before anything that needs them; in order, so that no number is left out.
    pub(super) fn store_names(&mut self) -> Result<(), Error> {
        let all = Named { queues: self.queues.len(), lines: self.lines.len() };
        if all == self.named {
            return Ok(());
        }
        for queue in &self.queues[self.named.queues..] {
            self.store.add_queue(queue.id, &queue.name)?;
        }
        for line in &self.lines[self.named.lines..] {
            self.store.add_line(line.id, line.queue, line.kind.as_deref())?;
        }
        self.named = all;
        Ok(())
    }

    /// The row of a message.
    pub(super) fn new_message(
        &mut self,
        message: &Message,
        line: LineId,
        not_before: UnixMillis,
        now: Now,
    ) -> (Item, Vec<u8>) {
        // Nothing in a message cannot be packed.
        let payload = postcard::to_allocvec(message).unwrap_or_default();
        let terms = Terms::of_message(message, now.wall);
        let item = self.new_item(message.id.0, line, not_before, terms, payload.len(), now);
        (item, payload)
    }
}

/// The space of ids of all jobs.
pub(super) const JOBS: i64 = 0;

/// Whether a job can be taken at all.
pub(super) fn check(job: &NewJob) -> Result<(), Error> {
    if job.payload.len() > LARGEST {
        return Err(Error::TooBig { bytes: job.payload.len() as u64, limit: LARGEST as u64 });
    }
    let text = job.unique.as_ref().map_or(0, |unique| unique.key.len());
    if job.kind.len() > LONGEST_TEXT || text > LONGEST_TEXT {
        let reason = format!("the name of a task and a unique key have at most {LONGEST_TEXT} bytes");
        return Err(Error::Malformed { what: format!("job {}", job.id), reason });
    }
    Ok(())
}

/// Bytes of the name of a task, a unique key, the name of a schedule.
pub(super) const LONGEST_TEXT: usize = 1024;
