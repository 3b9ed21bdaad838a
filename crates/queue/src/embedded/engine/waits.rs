//! [`Waits`]: requests whose answer is not known yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::ClientId;
use super::item::LineId;
use crate::job::Claim;
use crate::{Error, JobId};

/// Requests of one client that may wait at a time.
const MOST_OF_A_CLIENT: u32 = 65_536;

/// A request that waits. Smaller ones came earlier.
pub(super) type WaitId = u64;

/// For what.
#[derive(Debug)]
pub(super) enum For {
    /// Jobs of these lines.
    Claim(Box<Claim>, Vec<LineId>),
    /// The end of this job.
    End(JobId),
    /// A version of this job that is not this one.
    Change(JobId, u64),
    /// Leases of this runner that shall end.
    Revocation(JobId),
}

/// Who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) client: ClientId,
    pub(super) ask: u64,
    until: Duration,
    pub(super) what: For,
}

/// All that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    last: WaitId,
    all: HashMap<WaitId, Waiter>,
    deadlines: BTreeSet<(Duration, WaitId)>,
    claims: BTreeSet<WaitId>,
    jobs: HashMap<JobId, Vec<WaitId>>,
    runners: HashMap<JobId, Vec<WaitId>>,
    clients: BTreeMap<ClientId, u32>,
}

impl Waits {
    /// One more waits, until this moment.
    pub(super) fn add(&mut self, client: ClientId, ask: u64, what: For, until: Duration) -> Result<WaitId, Error> {
        let count = self.clients.entry(client).or_default();
        if *count >= MOST_OF_A_CLIENT {
            let reason = format!("{MOST_OF_A_CLIENT} requests of this connection wait already");
            return Err(Error::Refused { broker: "embedded".to_owned(), reason });
        }
        *count += 1;
        self.last += 1;
        let id = self.last;
        match &what {
            For::Claim(..) => drop(self.claims.insert(id)),
            For::End(job) | For::Change(job, _) => self.jobs.entry(*job).or_default().push(id),
            For::Revocation(runner) => self.runners.entry(*runner).or_default().push(id),
        }
        self.deadlines.insert((until, id));
        self.all.insert(id, Waiter { client, ask, until, what });
        Ok(id)
    }

    /// It waits no more.
    pub(super) fn remove(&mut self, id: WaitId) -> Option<Waiter> {
        let waiter = self.all.remove(&id)?;
        self.deadlines.remove(&(waiter.until, id));
        if let Some(count) = self.clients.get_mut(&waiter.client) {
            *count -= 1;
        }
        match &waiter.what {
            For::Claim(..) => drop(self.claims.remove(&id)),
            For::End(job) | For::Change(job, _) => leave(&mut self.jobs, job, id),
            For::Revocation(runner) => leave(&mut self.runners, runner, id),
        }
        Some(waiter)
    }

    /// Nobody is there any more who could be answered.
    pub(super) fn forget(&mut self, client: ClientId) {
        let of_it: Vec<WaitId> = match self.clients.remove(&client) {
            None | Some(0) => return,
            Some(_) => self.all.iter().filter(|(_, waiter)| waiter.client == client).map(|(id, _)| *id).collect(),
        };
        for id in of_it {
            self.remove(id);
        }
    }

    pub(super) fn get(&self, id: WaitId) -> Option<&Waiter> {
        self.all.get(&id)
    }

    /// Claims, in the order in which they came.
    pub(super) fn claims(&self) -> Vec<WaitId> {
        self.claims.iter().copied().collect()
    }

    pub(super) fn has_claims(&self) -> bool {
        !self.claims.is_empty()
    }

    /// Whether somebody waits for news of this job.
    pub(super) fn is_awaited(&self, job: &JobId) -> bool {
        self.jobs.contains_key(job)
    }

    /// Who waits for news of this job.
    pub(super) fn of_job(&self, job: &JobId) -> Vec<WaitId> {
        self.jobs.get(job).cloned().unwrap_or_default()
    }

    /// Who waits for revocations of this runner.
    pub(super) fn of_runner(&self, runner: &JobId) -> Option<WaitId> {
        self.runners.get(runner).and_then(|waits| waits.first()).copied()
    }

    /// One whose time is over.
    pub(super) fn overdue(&self, now: Duration) -> Option<WaitId> {
        self.deadlines.first().filter(|(until, _)| *until <= now).map(|(_, id)| *id)
    }

    /// When the next one's time is over.
    pub(super) fn next(&self) -> Option<Duration> {
        self.deadlines.first().map(|(until, _)| *until)
    }
}

fn leave(waits: &mut HashMap<JobId, Vec<WaitId>>, of: &JobId, id: WaitId) {
    if let Some(ids) = waits.get_mut(of) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            waits.remove(of);
        }
    }
}
