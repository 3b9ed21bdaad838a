//! Leases: how they begin, are renewed, and come back.

use std::collections::HashMap;
use std::time::Duration;

use super::item::{Hold, Holder, Item, LineId, Seq, State};
use super::waits::For;
use super::{ClientId, Engine, Now, earlier, later};
use crate::embedded::words::Reply;
use crate::job::{Heartbeat, Lease, Revoked, Standing, rank};
use crate::{Error, JobId, Token, UnixMillis};

/// A lease that has lived so long is written into the file.
pub(super) const WRITTEN_AFTER: Duration = Duration::from_millis(250);

/// Details of heartbeats are written at most so often.
const DETAILS_EVERY: Duration = Duration::from_secs(1);

/// Bytes of details that are taken.
const LARGEST_DETAILS: usize = 64 * 1024;

/// Waits up to so long are also measured by the monotonic clock, and so many of them at a time.
const SHORT_WAIT: Duration = Duration::from_secs(10 * 60);
const MOST_TIMERS: usize = 65_536;

/// Notices that wait for one runner to ask for them.
const MOST_NOTICES: usize = 4096;

/// Leases of jobs that have ended otherwise: their holders are told, and may say that they stopped.
#[derive(Debug, Default)]
pub(super) struct Revoking {
    /// Until their time is over.
    leases: HashMap<Token, Hold>,
    /// Not told yet, by runner.
    notices: HashMap<JobId, Vec<Revoked>>,
}

/// When a row is given out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// At once, at its old place.
    AsBefore,
    /// From this moment on.
    From(UnixMillis),
}

impl Engine {
    /// Takes a row out of memory, or out of the file, to change it. If it is leased, the lease ends with that.
    pub(super) fn take(&mut self, seq: Seq) -> Result<Option<Item>, Error> {
        let Some(mut item) = self.items.remove(&seq) else { return self.store.by_seq(seq) };
        self.forget_payload(&item);
        item.payload = None;
        if self.is_job(item.line) {
            self.ids.remove(&item.id);
        }
        match &item.hold {
            Some(hold) => {
                let hold = hold.clone();
                self.count_lease(item.line, item.bytes, -1);
                self.leave_consumer(&hold, item.bytes);
                self.batch.ended_leases.push((seq, hold));
            }
            None => {
                let at = item.place();
                self.line(item.line).remove(at);
                self.windowed = self.windowed.saturating_sub(1);
            }
        }
        Ok(Some(item))
    }

    pub(super) fn count_lease(&mut self, line: LineId, bytes: u64, by: i64) {
        if by < 0 {
            let state = self.line(line);
            state.leased = state.leased.saturating_sub(1);
            // A place of its limit is free.
            self.busy.insert(line);
        }
        let queue = self.queue_of(line);
        queue.leased = queue.leased.saturating_add_signed(by);
        queue.leased_bytes = queue.leased_bytes.saturating_add_signed(by.saturating_mul(bytes as i64));
    }

    /// A ready row in memory goes into somebody's hands.
    pub(super) fn begin(&mut self, seq: Seq, job: JobId, client: ClientId, by: Holder, now: Now) -> Option<Token> {
        let epoch = self.epoch;
        let item = self.items.get_mut(&seq)?;
        item.counts.leases += 1;
        item.counts.attempts += 1;
        item.counts.epoch = epoch;
        item.counts.is_settled = false;
        let token = Token { job, epoch, attempt: item.counts.leases };
        self.hold(seq, token, client, by, now);
        Some(token)
    }

    /// A row in memory that stands in its line is held with this token.
    pub(super) fn hold(&mut self, seq: Seq, token: Token, client: ClientId, by: Holder, now: Now) {
        let version = self.next_version();
        let Some(item) = self.items.get_mut(&seq) else { return };
        let (line, at, bytes, id) = (item.line, item.place(), item.bytes, item.id);
        let is_job = self.lines[line.0 as usize].kind.is_some();
        let until = is_job.then(|| later(now, Lease::LASTS));
        item.version = version;
        item.hold = Some(Hold { token, client, by, until, is_written: false, progress: None, has_new_details: false });
        self.windowed = self.windowed.saturating_sub(1);
        self.leases_checked_at = self.leases_checked_at.into_iter().chain(until).min();
        self.young.push_back((later(now, WRITTEN_AFTER), seq, token));
        let line_state = self.line(line);
        line_state.remove(at);
        line_state.begun();
        self.count_lease(line, bytes, 1);
        if is_job {
            self.news(&id);
        }
    }

    /// A lease is lost: its holder is gone, or silent for too long. That counts as a crash.
    pub(super) fn lost(&mut self, mut item: Item, now: Now) -> Result<(), Error> {
        item.hold = None;
        if !self.is_job(item.line) {
            return self.delivered_again(item, now);
        }
        item.counts.crashes += 1;
        if item.counts.crashes >= item.terms.retry.crashes {
            return self.end_poison(item, now);
        }
        self.give_back(item, Again::AsBefore, None, now)
    }

    /// A row that nobody holds waits again.
    pub(super) fn give_back(
        &mut self,
        mut item: Item,
        when: Again,
        error: Option<&[u8]>,
        now: Now,
    ) -> Result<(), Error> {
        let from = item.state;
        item.hold = None;
        let deadline = item.terms.deadline;
        let starts = match when {
            Again::AsBefore => now.wall,
            Again::From(moment) => moment.max(now.wall),
        };
        if deadline.is_some_and(|deadline| deadline <= starts) {
            return match error {
                Some(error) => self.end_dead(item, error, now),
                None => self.end_late(item, now),
            };
        }
        if let Again::From(_) = when {
            item.rank = rank(starts, item.terms.priority);
            item.not_before = starts;
        }
        item.state = if starts > now.wall { State::Scheduled } else { State::Ready };
        item.due = earlier((item.state == State::Scheduled).then_some(starts), deadline).map(|due| due.0);
        item.version = self.next_version();
        self.store.give_back(&item, error)?;
        self.is_due_at(item.due);
        self.count(item.line, Some(from), Some(item.state), item.bytes);
        self.news(&item.id);
        if item.state == State::Ready {
            self.place(item);
        } else if starts.since(now.wall) <= SHORT_WAIT && self.timers.len() < MOST_TIMERS {
            let at = later(now, starts.since(now.wall));
            self.timers.push(std::cmp::Reverse((at, item.seq, item.version)));
        }
        Ok(())
    }

    /// A row that waited for something else is ready from this moment on.
    pub(super) fn make_ready(&mut self, item: Item, not_before: UnixMillis, now: Now) -> Result<(), Error> {
        self.give_back(item, Again::From(not_before), None, now)
    }

    pub(super) fn renew(
        &mut self,
        client: ClientId,
        runner: JobId,
        heartbeats: Vec<Heartbeat>,
        now: Now,
    ) -> Result<Vec<Standing>, Error> {
        let largest = heartbeats.iter().filter_map(|beat| beat.details.as_ref()).map(Vec::len).max().unwrap_or(0);
        if largest > LARGEST_DETAILS {
            return Err(Error::TooBig { bytes: largest as u64, limit: LARGEST_DETAILS as u64 });
        }
        Ok(heartbeats.into_iter().map(|heartbeat| self.heartbeat(client, runner, heartbeat, now)).collect())
    }

    fn heartbeat(&mut self, client: ClientId, runner: JobId, heartbeat: Heartbeat, now: Now) -> Standing {
        let Heartbeat { token, progress, details } = heartbeat;
        if self.revoking.leases.contains_key(&token) {
            return Standing::Cancelled;
        }
        let version = self.next_version();
        let held = self.ids.get(&token.job).and_then(|seq| self.items.get_mut(seq));
        let Some(item) = held else { return Standing::Lost };
        let Some(hold) = item.hold.as_mut().filter(|hold| hold.token == token) else { return Standing::Lost };
        hold.until = Some(later(now, Lease::LASTS));
        (hold.client, hold.by) = (client, Holder::Runner(runner));
        if details.is_some() {
            item.details = details;
            hold.has_new_details = true;
            self.details_due_at.get_or_insert(later(now, DETAILS_EVERY));
        }
        if let Some(word) = progress {
            hold.progress = progress;
            self.last_words.keep(token.job, word);
            item.version = version;
            self.news(&token.job);
        }
        Standing::Kept
    }

    /// Waits for leases of this runner that shall end.
    pub(super) fn revoked(
        &mut self,
        client: ClientId,
        ask: u64,
        runner: JobId,
        wait: Duration,
        now: Now,
    ) -> Result<Option<Reply>, Error> {
        self.name_holds(client, Holder::Runner(runner), None);
        if let Some(notices) = self.revoking.notices.remove(&runner) {
            return Ok(Some(Reply::Revoked(notices)));
        }
        if wait.is_zero() {
            return Ok(Some(Reply::Revoked(Vec::new())));
        }
        self.waits.add(client, ask, For::Revocation(runner), later(now, wait))?;
        Ok(None)
    }

    /// After the commit: jobs of these leases have ended otherwise.
    pub(super) fn tell_revoked(&mut self, holds: Vec<Hold>) -> Vec<(ClientId, u64, Reply)> {
        let mut told = Vec::new();
        for hold in holds {
            let (by, notice) = (hold.by, Revoked { token: hold.token, why: Standing::Cancelled });
            self.revoking.leases.insert(hold.token, hold);
            // Whoever has not said its name since a restart is told when it renews.
            let Holder::Runner(runner) = by else { continue };
            let notices = self.revoking.notices.entry(runner).or_default();
            if notices.len() < MOST_NOTICES {
                notices.push(notice);
            }
            if let Some(wait) = self.waits.of_runner(&runner)
                && let Some(waiter) = self.waits.remove(wait)
            {
                let notices = self.revoking.notices.remove(&runner).unwrap_or_default();
                told.push((waiter.client, waiter.ask, Reply::Revoked(notices)));
            }
        }
        told
    }

    /// Whether this is the lease of a job that has ended otherwise.
    pub(super) fn is_revoked(&self, token: &Token) -> bool {
        self.revoking.leases.contains_key(token)
    }

    /// Leases that nobody renewed are lost. When to look again.
    pub(super) fn expire_leases(&mut self, now: Now) -> Result<(), Error> {
        if self.leases_checked_at.is_none_or(|at| at > now.since_start) {
            return Ok(());
        }
        let is_over = |hold: &Hold| hold.until.is_some_and(|until| until <= now.since_start);
        let over = self.items.values().filter(|item| item.hold.as_ref().is_some_and(is_over)).map(|item| item.seq);
        for seq in over.collect::<Vec<Seq>>() {
            if let Some(item) = self.take(seq)? {
                self.lost(item, now)?;
            }
        }
        self.revoking.leases.retain(|_, hold| !is_over(hold));
        let leases = self.items.values().filter_map(|item| item.hold.as_ref());
        self.leases_checked_at = leases.chain(self.revoking.leases.values()).filter_map(|hold| hold.until).min();
        Ok(())
    }

    /// Leases that have lived for a while are written; new details of heartbeats too.
    pub(super) fn write_leases(&mut self, now: Now) -> Result<(), Error> {
        while let Some((at, seq, token)) = self.young.front().copied()
            && at <= now.since_start
        {
            self.young.pop_front();
            let Some(item) = self.items.get_mut(&seq) else { continue };
            let Some(hold) = item.hold.as_mut().filter(|hold| hold.token == token && !hold.is_written) else {
                continue;
            };
            (hold.is_written, hold.has_new_details) = (true, false);
            self.store.mark_held(item)?;
        }
        if self.details_due_at.is_some_and(|at| at <= now.since_start) {
            self.details_due_at = None;
            for item in self.items.values_mut() {
                if let Some(hold) = item.hold.as_mut().filter(|hold| hold.has_new_details) {
                    (hold.is_written, hold.has_new_details) = (true, false);
                    self.store.mark_held(item)?;
                }
            }
        }
        Ok(())
    }

    /// A client's socket has closed: what it waited for is forgotten, its leases and deliveries come back, crashes counted.
    pub fn gone(&mut self, client: ClientId, now: Now) {
        self.last = now;
        self.waits.forget(client);
        self.batch.answers.retain(|(to, _, _)| *to != client);
        self.forget_consumers(client);
        self.runners.retain(|_, runner| runner.client != client);
        let Engine { revoking, runners, .. } = self;
        revoking.leases.retain(|_, hold| hold.client != client);
        revoking.notices.retain(|runner, _| runners.contains_key(runner));
        self.sweeps.retain(|sweep| sweep.client() != client);
        let Some(left) = self.clients.remove(&client) else { return };
        let is_elsewhere = self.clients.values().any(|other| other.handle == left.handle);
        if left.is_holder && !is_elsewhere {
            self.left.push(left.handle);
        }
        self.has_orphans = true;
    }

    /// What is held by clients that are gone comes back.
    pub(super) fn free_orphans(&mut self, now: Now) -> Result<(), Error> {
        if !self.has_orphans {
            return Ok(());
        }
        let is_orphan = |item: &&Item| item.hold.as_ref().is_some_and(|hold| !self.clients.contains_key(&hold.client));
        let orphans: Vec<Seq> = self.items.values().filter(is_orphan).map(|item| item.seq).collect();
        for seq in orphans {
            if let Some(item) = self.take(seq)? {
                self.lost(item, now)?;
            }
        }
        while let Some(handle) = self.left.pop() {
            self.store.remove_holder(&handle)?;
        }
        self.has_orphans = false;
        Ok(())
    }
}
