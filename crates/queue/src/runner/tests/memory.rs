//! A store in memory, for the tests of runner and executor: what they need of the job model, and a record of what they said.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::job::{
    ChildEnd, Claim, Finish, Heartbeat, JobEnd, JobFilter, JobState, JobStatus, JobStore, KindLimits, Lease, NewJob,
    Outcome, Pause, Recorded, Revoked, Schedule, Standing, Submitted, Work, rank,
};
use crate::queue::Backend;
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, JobId, Message, Queue, QueueName, QueueOptions,
    QueueStats, Token, UnixMillis,
};

#[derive(Default)]
pub(super) struct Memory {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
pub(super) struct State {
    jobs: BTreeMap<JobId, Job>,
    revoked: Vec<Revoked>,
    /// What runners have said, in its order.
    pub(super) heard: Vec<Outcome>,
    /// Calls that are to fail from now on.
    pub(super) failures: u32,
    pub(super) claims: u32,
    pub(super) finishes: u32,
}

struct Job {
    job: NewJob,
    status: JobStatus,
    /// The latest.
    attempt: u32,
    details: Option<Vec<u8>>,
    end: Option<JobEnd>,
    children: Vec<JobId>,
}

impl Memory {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle on a new one.
    pub(super) fn queue() -> (Queue, Arc<Memory>) {
        let memory = Arc::new(Memory::default());
        let backend = Backend { broker: Arc::new(NoMessages), store: memory.clone(), blobs: None };
        (Queue::of(backend, "embedded:memory".parse().unwrap()).unwrap(), memory)
    }

    /// The lease of a job is somebody else's from now on.
    pub(super) fn steal(&self, id: JobId) {
        let mut state = self.lock();
        let token = state.jobs[&id].token();
        state.revoked.push(Revoked { token, why: Standing::Lost });
        let job = state.jobs.get_mut(&id).unwrap();
        (job.status.state, job.attempt) = (JobState::Leased, job.attempt + 1);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Asks until there is an answer, or for so long.
    async fn until<T>(&self, wait: Duration, mut look: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let until = tokio::time::Instant::now() + wait;
        loop {
            let changed = self.changed.notified();
            if let Some(found) = look(&mut self.lock()) {
                return Some(found);
            }
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return look(&mut self.lock());
            }
        }
    }

    fn act<T>(&self, act: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let mut state = self.lock();
        if state.failures > 0 {
            state.failures -= 1;
            return Err(Error::unavailable("memory", "it is tested"));
        }
        let result = act(&mut state);
        drop(state);
        self.changed.notify_waiters();
        result
    }
}

impl Job {
    fn new(job: NewJob, state: JobState, parent: Option<JobId>) -> Job {
        let now = UnixMillis::now();
        let status = JobStatus {
            id: job.id,
            queue: job.queue.clone(),
            kind: job.kind.clone(),
            state,
            version: 1,
            priority: job.priority,
            attempts: 0,
            errors: 0,
            crashes: 0,
            submitted: now,
            not_before: job.not_before,
            ended: None,
            expires: None,
            progress: None,
            error: None,
            runner: None,
            parent,
            children: None,
        };
        Job { job, status, attempt: 0, details: None, end: None, children: Vec::new() }
    }

    fn token(&self) -> Token {
        Token { job: self.job.id, epoch: 1, attempt: self.attempt }
    }

    fn end(&mut self, end: JobEnd) {
        self.status.state = match end {
            JobEnd::Done(_) => JobState::Done,
            JobEnd::Dead(_) => JobState::Dead,
            JobEnd::Cancelled => JobState::Cancelled,
        };
        self.status.version += 1;
        self.end = Some(end);
    }
}

impl State {
    fn take(&mut self, work: Work) -> Submitted {
        let head = work.head().id;
        match work {
            Work::Job(job) => {
                self.jobs.entry(job.id).or_insert_with(|| Job::new(job, JobState::Ready, None));
            }
            Work::Flow(flow) => {
                let children: Vec<JobId> = flow.children.iter().map(|child| child.id).collect();
                for child in flow.children {
                    self.jobs.insert(child.id, Job::new(child, JobState::Ready, Some(head)));
                }
                let mut parent = Job::new(flow.gather, JobState::WaitingChildren, None);
                parent.children = children;
                self.jobs.insert(head, parent);
            }
        }
        Submitted::Taken(head)
    }

    fn lease(&mut self, claim: &Claim) -> Vec<Lease> {
        let mut ready: Vec<_> = self
            .jobs
            .values()
            .filter(|job| job.status.state == JobState::Ready && claim.kinds.contains(&job.job.kind))
            .filter(|job| claim.queues.contains(&job.job.queue))
            .map(|job| (rank(job.status.submitted, job.job.priority), job.job.id))
            .collect();
        ready.sort_unstable();
        ready.into_iter().take(claim.most).map(|(_, id)| self.lease_of(id, claim)).collect()
    }

    fn lease_of(&mut self, id: JobId, claim: &Claim) -> Lease {
        let ends: HashMap<JobId, ChildEnd> =
            self.jobs[&id].children.iter().map(|id| (*id, self.child_end(*id))).collect();
        let job = self.jobs.get_mut(&id).unwrap();
        job.attempt += 1;
        job.status.attempts += 1;
        job.status.state = JobState::Leased;
        job.status.runner = Some(claim.name.clone());
        job.status.version += 1;
        Lease {
            token: job.token(),
            queue: job.job.queue.clone(),
            kind: job.job.kind.clone(),
            payload: job.job.payload.clone(),
            attempt: job.status.attempts,
            crashes: job.status.crashes,
            deadline: job.job.deadline,
            run_limit: job.job.run_limit,
            details: job.details.clone(),
            children: (!job.children.is_empty()).then(|| job.children.iter().map(|id| ends[id].clone()).collect()),
        }
    }

    fn child_end(&self, id: JobId) -> ChildEnd {
        match &self.jobs[&id].end {
            Some(JobEnd::Done(result)) => ChildEnd::Done(result.clone()),
            Some(JobEnd::Dead(error)) => ChildEnd::Failed(error.clone()),
            _ => ChildEnd::Failed(crate::payload::error(&phalanx_task::TaskError::Cancelled)),
        }
    }

    fn finish(&mut self, finish: Finish) -> Recorded {
        let Finish { token, outcome } = finish;
        let Some(job) = self.jobs.get_mut(&token.job) else { return Recorded::Stale };
        if job.token() != token || job.end.is_some() {
            self.heard.push(outcome);
            return Recorded::Stale;
        }
        self.heard.push(outcome.clone());
        job.status.state = JobState::Ready;
        job.status.version += 1;
        match outcome {
            Outcome::Done(result) => job.end(JobEnd::Done(result)),
            Outcome::Cancelled => job.end(JobEnd::Cancelled),
            Outcome::Returned => job.status.attempts -= 1,
            Outcome::Crashed { error } => {
                job.status.crashes += 1;
                if job.status.crashes >= job.job.retry.crashes {
                    job.end(JobEnd::Dead(error));
                }
            }
            Outcome::Failed { error, hopeless } => {
                job.status.errors += 1;
                if hopeless || job.status.errors >= job.job.retry.attempts {
                    job.end(JobEnd::Dead(error));
                }
            }
        }
        self.wake_parent(token.job);
        Recorded::Yes
    }

    fn wake_parent(&mut self, child: JobId) {
        let Some(parent) = self.jobs[&child].status.parent else { return };
        let children: HashSet<JobId> = self.jobs[&parent].children.iter().copied().collect();
        if children.iter().all(|child| self.jobs[child].end.is_some()) {
            self.jobs.get_mut(&parent).unwrap().status.state = JobState::Ready;
        }
    }

    fn renew(&mut self, heartbeat: Heartbeat) -> Standing {
        let Some(job) = self.jobs.get_mut(&heartbeat.token.job) else { return Standing::Lost };
        if job.token() != heartbeat.token {
            return Standing::Lost;
        }
        if heartbeat.progress.is_some() {
            job.status.progress = heartbeat.progress;
            job.status.version += 1;
        }
        job.details = heartbeat.details.or(job.details.take());
        if job.status.state == JobState::Cancelled { Standing::Cancelled } else { Standing::Kept }
    }
}

fn no_such(job: JobId) -> Error {
    Error::NoSuchJob { job: job.to_string() }
}

impl JobStore for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn can(&self, _: Capability) -> bool {
        true
    }

    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>> {
        let taken = self.act(|state| Ok(works.into_iter().map(|work| Ok(state.take(work))).collect()));
        Box::pin(std::future::ready(taken))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>> {
        Box::pin(async move {
            self.act(|state| {
                state.claims += 1;
                Ok(())
            })?;
            let some = |leases: Vec<Lease>| (!leases.is_empty()).then_some(leases);
            let leases = self.until(claim.wait, |state| some(state.lease(&claim))).await.unwrap_or_default();
            self.changed.notify_waiters();
            Ok(leases)
        })
    }

    fn renew(&self, _: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>> {
        let standings = self.act(|state| Ok(heartbeats.into_iter().map(|heartbeat| state.renew(heartbeat)).collect()));
        Box::pin(std::future::ready(standings))
    }

    fn revoked(&self, _: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>> {
        let some = |revoked: Vec<Revoked>| (!revoked.is_empty()).then_some(revoked);
        Box::pin(async move {
            Ok(self.until(wait, |state| some(std::mem::take(&mut state.revoked))).await.unwrap_or_default())
        })
    }

    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>> {
        let recorded = self.act(|state| {
            state.finishes += 1;
            Ok(finishes.into_iter().map(|finish| state.finish(finish)).collect())
        });
        Box::pin(std::future::ready(recorded))
    }

    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>> {
        Box::pin(async move { Ok(self.until(wait, |state| state.jobs.get(&job)?.end.clone()).await) })
    }

    fn changed(&self, job: JobId, seen: u64, wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>> {
        Box::pin(async move {
            let status = self.until(wait, |state| {
                Some(state.jobs.get(&job)?.status.clone()).filter(|status| status.version != seen)
            });
            status.await.or_else(|| Some(self.lock().jobs.get(&job)?.status.clone())).ok_or_else(|| no_such(job))
        })
    }

    fn list(&self, _: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>> {
        let all = self.lock().jobs.values().rev().map(|job| job.status.clone()).collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn cancel(&self, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        let cancelled = self.act(|state| {
            let job = state.jobs.get_mut(&id).ok_or_else(|| no_such(id))?;
            if job.status.state == JobState::Leased {
                state.revoked.push(Revoked { token: job.token(), why: Standing::Cancelled });
            }
            job.end(JobEnd::Cancelled);
            Ok(())
        });
        Box::pin(std::future::ready(cancelled))
    }

    fn revive(&self, id: JobId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Err(no_such(id))))
    }

    fn stats(&self, _: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn purge(&self, _: QueueName, _: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn pause(&self, _: Pause, _: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn limit(&self, _: KindLimits) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn schedule(&self, _: String, _: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Waits on the calling thread until it is so.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// No messages.
struct NoMessages;

fn none<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, Error>> {
    Box::pin(std::future::ready(Err(Error::Closed)))
}

impl Broker for NoMessages {
    fn name(&self) -> &'static str {
        "memory"
    }
    fn can(&self, _: Capability) -> bool {
        false
    }
    fn declare<'a>(&'a self, _: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        none()
    }
    fn send<'a>(&'a self, _: &'a QueueName, _: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        none()
    }
    fn consume<'a>(&'a self, _: &'a QueueName, _: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        none()
    }
    fn stats<'a>(&'a self, _: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        none()
    }
    fn peek<'a>(&'a self, _: &'a QueueName, _: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        none()
    }
    fn purge<'a>(&'a self, _: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        none()
    }
    fn delete<'a>(&'a self, _: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        none()
    }
    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        none()
    }
    fn reply<'a>(&'a self, _: &'a str, _: Message) -> BoxFuture<'a, Result<(), Error>> {
        none()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
