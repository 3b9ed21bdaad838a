//! What is known of a job, for those who ask and those who wait.

use std::time::Duration;

use super::end::job_end;
use super::item::{Family, Holder, Item, State};
use super::waits::For;
use super::{ClientId, Engine, News, Now, later};
use crate::embedded::words::Reply;
use crate::job::JobStatus;
use crate::{Error, JobId, JobState, QueueName, UnixMillis};

impl Engine {
    /// Waits for the end of a job.
    pub(super) fn ended(
        &mut self,
        client: ClientId,
        ask: u64,
        job: JobId,
        wait: Duration,
        now: Now,
    ) -> Result<Option<Reply>, Error> {
        // In memory is only what has not ended.
        if !self.ids.contains_key(&job) {
            let item = self.known(&job, now)?;
            if item.state.is_end() {
                let outcome = self.store.outcome(item.seq)?.unwrap_or_default();
                return Ok(Some(Reply::End(Some(job_end(item.state, outcome)))));
            }
        }
        if wait.is_zero() {
            return Ok(Some(Reply::End(None)));
        }
        self.waits.add(client, ask, For::End(job), later(now, wait))?;
        Ok(None)
    }

    /// Waits until a job is not as it was seen.
    pub(super) fn changed(
        &mut self,
        client: ClientId,
        ask: u64,
        (job, seen): (JobId, u64),
        wait: Duration,
        now: Now,
    ) -> Result<Option<Reply>, Error> {
        let status = self.status(&job, now)?;
        if status.version != seen || wait.is_zero() {
            return Ok(Some(Reply::Status(Box::new(status))));
        }
        self.waits.add(client, ask, For::Change(job, seen), later(now, wait))?;
        Ok(None)
    }

    pub(super) fn status(&mut self, job: &JobId, now: Now) -> Result<JobStatus, Error> {
        let item = self.known(job, now)?;
        self.status_of(&item)
    }

    pub(super) fn status_of(&mut self, item: &Item) -> Result<JobStatus, Error> {
        let children = self.children_of(item)?;
        let has_failed = item.counts.errors + item.counts.crashes > 0 || item.state == State::Dead;
        let error = if has_failed && item.state != State::Done { self.store.outcome(item.seq)? } else { None };
        let line = self.line(item.line);
        let kind = line.kind.clone().unwrap_or_default();
        let queue = QueueName::new(self.queue_of(item.line).name.clone())?;
        let runner = item.hold.as_ref().and_then(|hold| match hold.by {
            Holder::Runner(runner) => self.runners.get(&runner).map(|runner| runner.name.clone()),
            _ => None,
        });
        let parent = match item.terms.family {
            Family::Child { parent, .. } => Some(parent),
            _ => None,
        };
        Ok(JobStatus {
            id: item.id,
            queue,
            kind,
            state: if item.hold.is_some() { JobState::Leased } else { item.state.shown() },
            version: item.version,
            priority: item.terms.priority,
            attempts: item.counts.attempts,
            errors: item.counts.errors,
            crashes: item.counts.crashes,
            submitted: item.terms.submitted,
            not_before: item.not_before,
            ended: item.ended,
            expires: item.ended.and(item.due).map(UnixMillis),
            progress: item.hold.as_ref().and_then(|hold| hold.progress).or_else(|| self.last_words.of(&item.id)),
            error,
            runner,
            parent,
            children,
        })
    }

    /// Answers those who wait for what has happened.
    pub(super) fn tell_news(
        &mut self,
        news: Vec<(JobId, News)>,
        now: Now,
    ) -> Vec<(ClientId, u64, Result<Reply, Error>)> {
        let mut told = Vec::new();
        for (job, what) in news {
            for wait in self.waits.of_job(&job) {
                let seen = match self.waits.get(wait).map(|waiter| &waiter.what) {
                    Some(For::Change(_, seen)) => Some(*seen),
                    _ => None,
                };
                let reply = match (&what, seen) {
                    (News::Ended(end), None) => Ok(Reply::End(Some(end.clone()))),
                    (News::Gone, None) => Err(Error::NoSuchJob { job: job.to_string() }),
                    (News::Changed, None) => continue,
                    (_, Some(seen)) => match self.status(&job, now) {
                        Ok(status) if status.version == seen => continue,
                        status => status.map(|status| Reply::Status(Box::new(status))),
                    },
                };
                if let Some(waiter) = self.waits.remove(wait) {
                    told.push((waiter.client, waiter.ask, reply));
                }
            }
        }
        told
    }

    /// Answers those whose time is over: nothing has happened.
    pub(super) fn tell_overdue(&mut self, now: Now) -> Vec<(ClientId, u64, Result<Reply, Error>)> {
        let mut told = Vec::new();
        while let Some(waiter) = self.waits.overdue(now.since_start).and_then(|wait| self.waits.remove(wait)) {
            let reply = match waiter.what {
                For::Claim(..) => Ok(Reply::Leases(Vec::new())),
                For::End(_) => Ok(Reply::End(None)),
                For::Change(job, _) => self.status(&job, now).map(|status| Reply::Status(Box::new(status))),
                For::Revocation(_) => Ok(Reply::Revoked(Vec::new())),
            };
            told.push((waiter.client, waiter.ask, reply));
        }
        told
    }
}
