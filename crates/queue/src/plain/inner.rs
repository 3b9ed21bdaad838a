//! [`Inner`]: what calls, the sweeper and the taker of replies share: runners, leases, how attempts end.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use phalanx_task::{Phase, Refusal, TaskError};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::envelope::{self, Envelope};
use super::replies::Replies;
use super::runners::{Brought, ConsumerNumber, Runner};
use crate::io::within;
use crate::job::{Claim, Finish, JobEnd, Lease, Outcome, Recorded, Standing};
use crate::{
    Broker, Capability, Consumer, Delivery, Error, JobId, Message, QueueName, QueueOptions, Requeue, Token, UnixMillis,
    payload,
};

/// The broker's own count is only the last resort: jobs are given up by their policies.
const MOST_DELIVERIES: u32 = 100;
/// A job that this runner does not know waits so long for one that does.
const UNKNOWN_KIND_WAIT: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(1);
/// To hand back what was not begun.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Finishes that are remembered, so that the same one again gets the same answer.
const MOST_RECORDED: usize = 10_000;

/// A job that is worked on.
struct Held {
    runner: JobId,
    by: ConsumerNumber,
    queue: QueueName,
    envelope: Envelope,
    /// Attempts so far that crashed, those included that nobody told of.
    crashes: u32,
    delivery: Delivery,
    renewed: Instant,
}

/// Leases on their way to a runner. If it goes away before it has them, they are handed back.
struct Claimed {
    inner: Arc<Inner>,
    leases: Vec<Lease>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        for lease in self.leases.drain(..) {
            let held = lock(&self.inner.held).remove(&lease.token);
            if let Some(held) = held {
                let inner = self.inner.clone();
                self.inner.thread.spawn(async move { inner.again(held, 0, 0, Duration::ZERO).await });
            }
        }
    }
}

/// See the module.
pub(super) struct Inner {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) replies: Replies,
    thread: Handle,
    /// Where our replies come.
    address: OnceCell<String>,
    declared: tokio::sync::Mutex<HashSet<QueueName>>,
    runners: Mutex<HashMap<JobId, Arc<tokio::sync::Mutex<Runner>>>>,
    held: Mutex<HashMap<Token, Held>>,
    recorded: Mutex<(HashMap<Token, Recorded>, VecDeque<Token>)>,
    /// Of consumers and leases.
    numbers: AtomicU64,
}

impl Inner {
    pub(super) fn new(broker: Arc<dyn Broker>, thread: Handle) -> Inner {
        Inner {
            broker,
            thread,
            replies: Replies::default(),
            address: OnceCell::new(),
            declared: tokio::sync::Mutex::default(),
            runners: Mutex::default(),
            held: Mutex::default(),
            recorded: Mutex::default(),
            numbers: AtomicU64::new(1),
        }
    }

    /// Where the dead jobs of a queue go.
    pub(super) fn dead(queue: &QueueName) -> Result<QueueName, Error> {
        QueueName::new(format!("{queue}.dead"))
    }

    /// Sees to it that a queue is there, and the one for its dead.
    pub(super) async fn declare(&self, queue: &QueueName) -> Result<(), Error> {
        let mut declared = self.declared.lock().await;
        if !declared.contains(queue) {
            let options = QueueOptions::new(queue.as_str())?.max_deliveries(MOST_DELIVERIES);
            match self.broker.declare(&options.dead_letter(Inner::dead(queue)?)).await {
                // Somebody made it in another way: it will do. The one for the dead was made before.
                Ok(()) | Err(Error::Mismatch { .. }) => declared.insert(queue.clone()),
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Where the ends of our jobs are to be told.
    pub(super) async fn address(self: &Arc<Self>) -> Result<String, Error> {
        let open = || async {
            let (address, replies) = self.broker.open_replies().await?;
            self.thread.spawn(self.clone().take_replies(replies));
            Ok(address)
        };
        self.address.get_or_try_init(open).await.cloned()
    }

    async fn take_replies(self: Arc<Self>, mut replies: Consumer) {
        while let Some(reply) = replies.next().await {
            match reply {
                Ok(mut reply) => {
                    let message = std::mem::replace(&mut reply.message, "".into());
                    if let Some((job, end)) = envelope::end_of(message) {
                        self.replies.ended(job, end);
                    }
                    let _ = reply.ack().await;
                }
                Err(error) => tracing::warn!(%error, "replies of jobs"),
            }
        }
    }

    /// The runner works on it.
    pub(super) fn renew(&self, token: Token) -> Standing {
        match lock(&self.held).get_mut(&token) {
            Some(held) => {
                held.renewed = Instant::now();
                Standing::Kept
            }
            None => Standing::Lost,
        }
    }

    pub(super) async fn claim(self: Arc<Self>, claim: Claim) -> Result<Vec<Lease>, Error> {
        let end = Instant::now() + claim.wait;
        let runner = lock(&self.runners)
            .entry(claim.runner)
            .or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Runner::new())))
            .clone();
        let mut runner = runner.lock().await;
        let works_on = lock(&self.held).values().filter(|held| held.runner == claim.runner).count();
        let wanted = u32::try_from(works_on + claim.most.max(1)).unwrap_or(u32::MAX);
        for queue in &claim.queues {
            self.declare(queue).await?;
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            runner.open(&*self.broker, queue, wanted, number).await?;
        }
        let mut claimed = Claimed { inner: self.clone(), leases: Vec::new() };
        let leases = &mut claimed.leases;
        while leases.len() < claim.most.max(1) {
            // The first is waited for; with it come all that are there.
            let left = if leases.is_empty() { end.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            let next = std::future::poll_fn(|context| runner.poll_next(&claim.queues, context));
            match within(&self.thread, left, next).await {
                Ok(Ok(brought)) => {
                    if let Some(lease) = self.lease(&claim, brought) {
                        leases.push(lease);
                    }
                }
                Ok(Err(error)) if leases.is_empty() => return Err(error),
                Ok(Err(_)) | Err(_) => break,
            }
        }
        Ok(std::mem::take(leases))
    }

    /// A job for the runner, unless nobody should run it, or this one cannot.
    fn lease(self: &Arc<Self>, claim: &Claim, brought: Brought) -> Option<Lease> {
        let Brought { queue, mut delivery, by } = brought;
        let message = std::mem::replace(&mut delivery.message, "".into());
        let envelope = match Envelope::of(message) {
            Ok(envelope) => envelope,
            Err(not_a_job) => {
                let (message, error) = *not_a_job;
                tracing::warn!(%queue, %error, "not a job");
                let inner = self.clone();
                self.thread.spawn(async move {
                    let error = payload::error(&TaskError::failed(error.to_string()));
                    let letter = envelope::dead_letter(&message, error);
                    inner.lay_to_rest(&queue, letter).await?;
                    delivery.ack().await
                });
                return None;
            }
        };
        // A delivery that nobody settled: its runner is gone, or lost its connection.
        let crashes = envelope.crashes.saturating_add(delivery.attempt.saturating_sub(1));
        let held = Held { runner: claim.runner, by, queue, envelope, crashes, delivery, renewed: Instant::now() };
        let is_late = held.envelope.deadline.is_some_and(|deadline| deadline < UnixMillis::now());
        let hopeless = if is_late {
            Some(TaskError::TimedOut(Phase::Queue))
        } else {
            (crashes >= held.envelope.retry.crashes).then_some(TaskError::Refused(Refusal::Poison { crashes }))
        };
        if let Some(error) = hopeless {
            let inner = self.clone();
            self.thread.spawn(async move { inner.bury(held, payload::error(&error)).await });
            return None;
        }
        if !claim.kinds.contains(&held.envelope.kind) {
            let inner = self.clone();
            self.thread.spawn(async move { inner.again(held, 0, 0, UNKNOWN_KIND_WAIT).await });
            return None;
        }
        let Envelope { id, kind, errors, deadline, run_limit, message, .. } = &held.envelope;
        let attempt = errors.saturating_add(crashes).saturating_add(1);
        let token = Token { job: *id, epoch: self.numbers.fetch_add(1, Ordering::Relaxed), attempt };
        let lease = Lease {
            token,
            queue: held.queue.clone(),
            kind: kind.clone(),
            payload: message.body.clone(),
            attempt,
            crashes,
            deadline: *deadline,
            run_limit: *run_limit,
            details: None,
            children: None,
        };
        lock(&self.held).insert(token, held);
        Some(lease)
    }

    pub(super) async fn finish(self: Arc<Self>, finishes: Vec<Finish>) -> Result<Vec<Recorded>, Error> {
        let mut settling = Vec::with_capacity(finishes.len());
        for Finish { token, outcome } in finishes {
            let held = lock(&self.held).remove(&token);
            let inner = self.clone();
            // At the same time: each waits for the broker.
            settling.push(self.thread.spawn(async move {
                let Some(held) = held else { return inner.recorded(token) };
                let recorded = match inner.settle(held, outcome).await {
                    Ok(()) => Recorded::Yes,
                    Err(error) => {
                        tracing::debug!(%token, %error, "an end was not recorded");
                        Recorded::Stale
                    }
                };
                inner.record(token, recorded);
                recorded
            }));
        }
        let mut recorded = Vec::with_capacity(settling.len());
        for one in settling {
            recorded.push(one.await.map_err(|_| Error::Closed)?);
        }
        Ok(recorded)
    }

    async fn settle(&self, held: Held, outcome: Outcome) -> Result<(), Error> {
        let (errors, crashes, retry) = (held.envelope.errors, held.crashes, held.envelope.retry);
        match outcome {
            Outcome::Done(result) => {
                self.tell(&held.envelope, JobEnd::Done(result)).await?;
                held.delivery.ack().await
            }
            Outcome::Cancelled => {
                self.tell(&held.envelope, JobEnd::Cancelled).await?;
                held.delivery.ack().await
            }
            Outcome::Failed { error, hopeless } => {
                let errors = errors.saturating_add(1);
                if hopeless || errors >= retry.attempts {
                    return self.bury(held, error).await;
                }
                self.again(held, 1, 0, retry.wait(errors, random())).await
            }
            Outcome::Crashed { .. } => {
                let crashes = crashes.saturating_add(1);
                if crashes >= retry.crashes {
                    let error = TaskError::Refused(Refusal::Poison { crashes });
                    return self.bury(held, payload::error(&error)).await;
                }
                self.again(held, 0, 1, retry.wait(crashes, random())).await
            }
            Outcome::Returned => self.again(held, 0, 0, Duration::ZERO).await,
        }
    }

    /// The job comes again after this time, with so many more errors and crashes.
    async fn again(&self, held: Held, errors: u32, crashes: u32, wait: Duration) -> Result<(), Error> {
        let errors = held.envelope.errors.saturating_add(errors);
        let message = held.envelope.again(errors, held.crashes.saturating_add(crashes));
        let waits = !wait.is_zero() && self.broker.can(Capability::Delay);
        let requeue = if waits { Requeue::After(wait) } else { Requeue::Now };
        held.delivery.replace(message, requeue).await
    }

    /// The job is dead.
    async fn bury(&self, held: Held, error: Vec<u8>) -> Result<(), Error> {
        let letter = envelope::dead_letter(&held.envelope.again(held.envelope.errors, held.crashes), error.clone());
        self.lay_to_rest(&held.queue, letter).await?;
        self.tell(&held.envelope, JobEnd::Dead(error)).await?;
        held.delivery.ack().await
    }

    /// Sends these; if somebody has removed the queue, it is made again.
    pub(super) async fn send(&self, queue: &QueueName, messages: Vec<Message>) -> Result<(), Error> {
        self.declare(queue).await?;
        match self.broker.send(queue, messages.clone()).await {
            Err(Error::NoSuchQueue { .. }) => {
                self.declared.lock().await.remove(queue);
                self.declare(queue).await?;
                self.broker.send(queue, messages).await
            }
            sent => sent,
        }
    }

    async fn lay_to_rest(&self, queue: &QueueName, letter: Message) -> Result<(), Error> {
        let dead = Inner::dead(queue)?;
        let mut sent = self.broker.send(&dead, vec![letter.clone()]).await;
        if let Err(Error::NoSuchQueue { .. }) = sent {
            self.broker.declare(&QueueOptions::new(dead.as_str())?).await?;
            sent = self.broker.send(&dead, vec![letter]).await;
        }
        match sent {
            Err(Error::Full { limit, .. }) => {
                tracing::warn!(%queue, limit, "a dead job is not kept: there are too many");
                Ok(())
            }
            sent => sent,
        }
    }

    async fn tell(&self, job: &Envelope, end: JobEnd) -> Result<(), Error> {
        match &job.message.reply_to {
            Some(address) => self.broker.reply(address, envelope::reply(job.id, end)).await,
            None => Ok(()),
        }
    }

    fn recorded(&self, token: Token) -> Recorded {
        lock(&self.recorded).0.get(&token).copied().unwrap_or(Recorded::Stale)
    }

    fn record(&self, token: Token, recorded: Recorded) {
        let (known, order) = &mut *lock(&self.recorded);
        known.insert(token, recorded);
        order.push_back(token);
        if order.len() > MOST_RECORDED
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
    }

    /// Now and then: runners that ask no more give back what they do not work on.
    pub(super) async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.replies.sweep();
            let runners: Vec<_> = lock(&self.runners).iter().map(|(id, runner)| (*id, runner.clone())).collect();
            self.expire();
            for (id, runner) in runners {
                // It is locked while it asks.
                let Ok(mut runner) = runner.try_lock() else { continue };
                if runner.is_idle() {
                    runner.rest().await;
                }
                let works_on = self.consumers_of(id);
                if runner.forget(&works_on) {
                    drop(runner);
                    // Not if it comes back at this moment: beside the map and us somebody has it then.
                    lock(&self.runners).retain(|known, runner| *known != id || Arc::strong_count(runner) > 2);
                }
            }
        }
    }

    /// Leases that nobody renewed: their runner hangs, or is not there any more.
    fn expire(self: &Arc<Self>) {
        let is_over = |held: &Held| held.renewed.elapsed() > Lease::LASTS;
        let over: Vec<_> = lock(&self.held).extract_if(|_, held| is_over(held)).map(|(_, held)| held).collect();
        for held in over {
            let inner = self.clone();
            self.thread.spawn(async move { inner.settle(held, Outcome::Crashed { error: Vec::new() }).await });
        }
    }

    fn consumers_of(&self, runner: JobId) -> Vec<ConsumerNumber> {
        lock(&self.held).values().filter(|held| held.runner == runner).map(|held| held.by).collect()
    }

    /// All that is not finished is handed back, uncounted.
    pub(super) async fn close(&self) {
        let runners: Vec<_> = lock(&self.runners).drain().map(|(_, runner)| runner).collect();
        let held: Vec<_> = lock(&self.held).drain().map(|(_, held)| held).collect();
        let back = async {
            for runner in &runners {
                runner.lock().await.rest().await;
            }
            for held in held {
                let _ = self.again(held, 0, 0, Duration::ZERO).await;
            }
        };
        let _ = within(&self.thread, CLOSE_DEADLINE, back).await;
    }
}

/// Uniform; in the middle without the system's random numbers.
fn random() -> u32 {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).map_or(u32::MAX / 2, |()| u32::from_le_bytes(bytes))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
