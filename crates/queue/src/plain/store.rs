//! [`PlainStore`]: [`JobStore`] over a broker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::envelope::Envelope;
use super::inner::Inner;
use super::replies::Known;
use crate::io::{Io, within};
use crate::job::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobStatus, JobStore, KindLimits, Lease, NewJob, Pause, Recorded,
    Revoked, Schedule, Standing, Submitted, Work,
};
use crate::{BoxFuture, Broker, Capability, Error, JobId, Message, QueueName, QueueStats, UnixMillis, payload};

/// Jobs as messages of a broker.
pub(crate) struct PlainStore {
    inner: Arc<Inner>,
    io: Io,
}

impl PlainStore {
    /// Over this broker. It has a thread of its own, which takes replies and settles.
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Result<PlainStore, Error> {
        let io = Io::start("phalanx-jobs")?;
        let inner = Arc::new(Inner::new(broker, io.handle().clone()));
        io.handle().spawn(inner.clone().sweep());
        Ok(PlainStore { inner, io })
    }

    fn unsupported<T: Send + 'static>(&self, what: Capability) -> BoxFuture<'_, Result<T, Error>> {
        let error = Error::unsupported(what, self.inner.broker.name());
        Box::pin(async move { Err(error) })
    }

    /// Why this cannot be taken, if so.
    fn refusal(&self, job: &NewJob) -> Option<Error> {
        let broker = &self.inner.broker;
        let lacks = |capability| Some(Error::unsupported(capability, broker.name()));
        let usual = phalanx_task::Priority::DEFAULT.level();
        if job.payload.len() > payload::LONGEST {
            return Some(Error::TooBig { bytes: job.payload.len() as u64, limit: payload::LONGEST as u64 });
        }
        if job.unique.is_some() {
            return lacks(Capability::Unique);
        }
        if job.not_before > UnixMillis::now() {
            return lacks(Capability::Schedule);
        }
        if job.priority != usual && !broker.can(Capability::Priority) {
            return lacks(Capability::Priority);
        }
        if job.awaited && !broker.can(Capability::Reply) {
            return lacks(Capability::Reply);
        }
        None
    }

    async fn take(&self, works: Vec<Work>) -> Result<Vec<Result<Submitted, Error>>, Error> {
        let mut results = Vec::with_capacity(works.len());
        let mut batches: HashMap<QueueName, (Vec<usize>, Vec<Message>)> = HashMap::new();
        let mut expected = HashMap::new();
        for (at, work) in works.into_iter().enumerate() {
            let job = match work {
                Work::Job(job) => job,
                Work::Flow(_) => {
                    results.push(Err(Error::unsupported(Capability::Flow, self.inner.broker.name())));
                    continue;
                }
            };
            if let Some(refusal) = self.refusal(&job) {
                results.push(Err(refusal));
                continue;
            }
            let reply_to = if job.awaited { Some(self.inner.address().await?) } else { None };
            if job.awaited {
                self.inner.replies.expect(job.id, job.keep);
                expected.insert(at, job.id);
            }
            results.push(Ok(Submitted::Taken(job.id)));
            let (places, messages) = batches.entry(job.queue.clone()).or_default();
            places.push(at);
            messages.push(Envelope::message(job, reply_to));
        }
        for (queue, (places, messages)) in batches {
            if let Err(error) = self.inner.send(&queue, messages).await {
                for place in places {
                    // What nobody knows may be taken: its reply may come.
                    if let Some(job) = expected.get(&place).filter(|_| !matches!(error, Error::Unavailable { .. })) {
                        self.inner.replies.forget(*job);
                    }
                    results[place] = Err(error.clone());
                }
            }
        }
        Ok(results)
    }
}

impl JobStore for PlainStore {
    fn name(&self) -> &'static str {
        self.inner.broker.name()
    }

    fn can(&self, capability: Capability) -> bool {
        use Capability::{Bound, DeadLetter, Priority, Purge, Reply, Stats};
        match capability {
            DeadLetter => true,
            Bound | Priority | Purge | Reply | Stats => self.inner.broker.can(capability),
            _ => false,
        }
    }

    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>> {
        Box::pin(self.take(works))
    }

    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>> {
        Box::pin(self.inner.clone().claim(claim))
    }

    fn renew(&self, _runner: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>> {
        Box::pin(async move { Ok(heartbeats.iter().map(|heartbeat| self.inner.renew(heartbeat.token)).collect()) })
    }

    fn revoked(&self, _runner: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>> {
        Box::pin(async move {
            // Nobody can say so.
            let _ = within(self.io.handle(), wait, std::future::pending::<()>()).await;
            Ok(Vec::new())
        })
    }

    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>> {
        // On our thread, so that it is done also if the caller goes away.
        Box::pin(self.io.run(self.inner.clone().finish(finishes)))
    }

    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>> {
        Box::pin(async move {
            match self.inner.replies.look(job) {
                Known::Ended(end) => Ok(Some(end)),
                Known::Waiting(told) => match within(self.io.handle(), wait, told).await {
                    Ok(Ok(end)) => Ok(Some(end)),
                    Ok(Err(_)) => Err(Error::NoSuchJob { job: job.to_string() }),
                    Err(_) => Ok(None),
                },
                Known::No => Err(Error::unsupported(Capability::Results, self.name())),
            }
        })
    }

    fn changed(&self, _job: JobId, _seen: u64, _wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>> {
        self.unsupported(Capability::Status)
    }

    fn list(&self, _filter: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>> {
        self.unsupported(Capability::Status)
    }

    fn cancel(&self, _job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.unsupported(Capability::Cancel)
    }

    fn revive(&self, _job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.unsupported(Capability::Status)
    }

    /// Of one queue. A broker has no list of those that are for jobs.
    fn stats(&self, queue: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>> {
        let Some(queue) = queue else { return self.unsupported(Capability::Stats) };
        Box::pin(async move {
            let mut stats = self.inner.broker.stats(&queue).await?;
            stats.dead = match self.inner.broker.stats(&Inner::dead(&queue)?).await {
                Err(Error::NoSuchQueue { .. }) => 0,
                dead => dead?.ready,
            };
            Ok(vec![stats])
        })
    }

    fn purge(&self, queue: QueueName, waiting: bool) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async move {
            let mut gone = match self.inner.broker.purge(&Inner::dead(&queue)?).await {
                Err(Error::NoSuchQueue { .. }) => 0,
                gone => gone?,
            };
            if waiting {
                gone += self.inner.broker.purge(&queue).await?;
            }
            Ok(gone)
        })
    }

    fn pause(&self, _what: Pause, _paused: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.unsupported(Capability::Pause)
    }

    fn limit(&self, _limits: KindLimits) -> BoxFuture<'_, Result<(), Error>> {
        self.unsupported(Capability::Limits)
    }

    fn schedule(&self, _name: String, _schedule: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>> {
        self.unsupported(Capability::Schedule)
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>> {
        self.unsupported(Capability::Schedule)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.close())
    }

    fn io(&self) -> Option<tokio::runtime::Handle> {
        Some(self.io.handle().clone())
    }
}
