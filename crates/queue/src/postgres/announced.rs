//! [`Announced`]: jobs are kept in PostgreSQL, and a broker brings their ids to the runners.
//!
//! ```text
//!   submit ─► rows, commit ─► publisher ─► NAME.ids of the broker ─► claim: ids ─► claim_by_id ─► leases
//!                                ▲                                                   └─ then the ids are acked
//!     what became ready later ───┤
//!     what nobody claimed ───────┘  (to_announce: looked for when its bell rings, and every second)
//! ```
//!
//! The rows are the truth and the ids only say where to look: one that comes twice, too late or for a job that may not run now is
//! acked and changes nothing. A job whose id was lost is announced again after 5 s, then after a minute, after two, and so on. An id is acked when its job
//! is leased, not when it is done: from then on the lease in the store is what brings the job back.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::job::{
    Claim, Finish, Heartbeat, JobEnd, JobFilter, JobStatus, JobStore, KindLimits, Lease, Pause, Recorded, Revoked,
    Schedule, Standing, Submitted, Work,
};
use crate::queue::Backend;
use crate::url::Place;
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Delivery, Error, JobId, Message, QueueName, QueueOptions,
    QueueStats, QueueUrl, UnixMillis,
};

use super::batch::Batches;
use super::bounding::Bounding;
use super::handle::{Handle, locked};
use super::store::Store;
use super::values::{Id, column};
use super::{Settings, bad, run};

/// What follows the name of a queue of jobs in that of the queue of its ids.
const IDS: &str = ".ids";
/// Ids that may wait in the broker. The store bounds the jobs; an id may be there more than once.
const MAX_IDS: u64 = 1_000_000;
/// Ids in one batch.
const BATCH: usize = 500;
/// A submission waits so long for the broker's confirmation; then the store sees to it.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// The net under the bell, and the pause after the broker said no.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Ids that came ahead are kept for the next claim so long.
const AHEAD_FOR: Duration = Duration::from_secs(3);
/// Ids that the broker brings ahead, at most.
const MOST_AHEAD: u32 = 256;

/// Jobs here, their ids there.
pub(super) struct Announced {
    store: Arc<Store>,
    broker: Arc<dyn Broker>,
    name: &'static str,
    publisher: Arc<Publisher>,
    incoming: Arc<Incoming>,
}

/// Ids on their way to the broker, many in one batch.
type Publisher = Batches<Announcement, ()>;

/// An id for the broker.
#[derive(Clone)]
struct Announcement {
    queue: QueueName,
    job: JobId,
    priority: u8,
}

/// The jobs of the state store in the URL, announced by this broker.
#[allow(dead_code)] // Whether it is used depends on the brokers that are built.
pub(crate) async fn beside(url: &QueueUrl, broker: Arc<dyn Broker>) -> Result<Backend, Error> {
    let state: QueueUrl = url.state.as_deref().unwrap_or_default().parse()?;
    let Place::Postgres(address) = &state.place else {
        return Err(bad(&state, "the state store has to be PostgreSQL"));
    };
    let settings = Settings::read(address, &state.settings).map_err(|reason| bad(&state, &reason))?;
    let blobs = crate::blobs::of(url, None)?;
    let (store, _) = settings.parts(UnixMillis::now).await?;
    let bounding = Bounding::new(broker.clone(), store.handle.clone(), store.io.clone());
    Ok(Backend { broker: Arc::new(bounding), store: Arc::new(Announced::new(store, broker)), blobs })
}

impl Announced {
    fn new(store: Store, broker: Arc<dyn Broker>) -> Announced {
        let handle = store.handle.clone();
        handle.announces.store(true, Ordering::Relaxed);
        let runtime = store.io.handle();
        let publishing =
            Arc::new(Publishing { handle: handle.clone(), broker: broker.clone(), declared: Mutex::default() });
        let publish = move |batch| -> BoxFuture<'static, _> { Box::pin(publishing.clone().publish(batch)) };
        let publisher: Arc<Publisher> = Arc::new(Batches::start(runtime, Arc::new(publish)));
        let incoming = Arc::new(Incoming { broker: broker.clone(), consumers: Mutex::default() });
        runtime.spawn(announcing(handle, publisher.clone(), incoming.clone()));
        let name = match broker.name() {
            "Kafka" => "Kafka with PostgreSQL",
            _ => "RabbitMQ with PostgreSQL",
        };
        Announced { store: Arc::new(store), broker, name, publisher, incoming }
    }
}

/// Those of a submission that may run at once.
fn announcements(work: &Work, now: UnixMillis) -> Vec<Announcement> {
    let jobs = match work {
        Work::Job(job) => std::slice::from_ref(job),
        Work::Flow(flow) => &flow.children,
    };
    let ready = jobs.iter().filter(|job| job.not_before <= now);
    ready.map(|job| Announcement { queue: job.queue.clone(), job: job.id, priority: job.priority }).collect()
}

/// Looks for what is to be announced, again or for the first time.
async fn announcing(handle: Arc<Handle>, publisher: Arc<Publisher>, incoming: Arc<Incoming>) {
    let mut closed = handle.closed.subscribe();
    loop {
        incoming.give_back();
        let (bell, is_told) = handle.bells.at("a");
        let mut ring = std::pin::pin!(bell.notified());
        ring.as_mut().enable();
        if !is_told {
            let _ = handle.tell_bells().await;
        }
        match to_announce(&handle).await {
            Ok(some) if !some.is_empty() => {
                tokio::select! {
                    _ = publisher.run(weighed(some)) => {}
                    _ = closed.wait_for(|closed| *closed) => return,
                }
                continue;
            }
            Ok(_) => {}
            Err(why) => tracing::debug!(%why, "PostgreSQL: cannot look for what is to be announced"),
        }
        tokio::select! {
            _ = timeout_at(Instant::now() + LOOK_EVERY, ring) => {}
            _ = closed.wait_for(|closed| *closed) => return,
        }
    }
}

async fn to_announce(handle: &Handle) -> Result<Vec<Announcement>, Error> {
    let most = super::values::int(u32::try_from(BATCH).unwrap_or(1));
    let rows = handle.pool.query("SELECT * FROM to_announce($1)", &[&most]).await?;
    let read = |row: &tokio_postgres::Row| {
        let queue = QueueName::new(column::<String>(row, 1)?)?;
        let priority = u8::try_from(column::<i16>(row, 2)?).unwrap_or(0);
        Ok(Announcement { queue, job: column::<Id>(row, 0)?.0, priority })
    };
    rows.iter().map(read).collect()
}

fn weighed(announcements: Vec<Announcement>) -> Vec<(usize, Announcement)> {
    announcements.into_iter().map(|announcement| (0, announcement)).collect()
}

/// Brings ids to the broker.
struct Publishing {
    handle: Arc<Handle>,
    broker: Arc<dyn Broker>,
    declared: Mutex<HashMap<QueueName, QueueName>>,
}

impl Publishing {
    /// What the broker does not take is announced again.
    async fn publish(self: Arc<Self>, batch: Vec<Announcement>) -> Result<Vec<()>, Error> {
        let done = vec![(); batch.len()];
        let mut queues: HashMap<QueueName, Vec<Announcement>> = HashMap::new();
        for announcement in batch {
            queues.entry(announcement.queue.clone()).or_default().push(announcement);
        }
        for (queue, announcements) in queues {
            let Err(why) = self.publish_to(&queue, &announcements).await else { continue };
            tracing::warn!(%queue, %why, "the ids of jobs could not be announced; they are announced again");
            locked(&self.declared).remove(&queue);
            let ids: Vec<Id> = announcements.iter().map(|announcement| Id(announcement.job)).collect();
            let sql = "UPDATE jobs SET announce = now_ms() + 1000 WHERE id = ANY($1) AND state = 1 AND via = 1";
            let _ = self.handle.pool.query(sql, &[&ids]).await;
        }
        Ok(done)
    }

    async fn publish_to(&self, queue: &QueueName, announcements: &[Announcement]) -> Result<(), Error> {
        let known = locked(&self.declared).get(queue).cloned();
        let ids = match known {
            Some(ids) => ids,
            None => {
                let ids = declare(&*self.broker, queue).await?;
                locked(&self.declared).insert(queue.clone(), ids.clone());
                ids
            }
        };
        let message = |announcement: &Announcement| {
            Message::new(announcement.job.as_bytes().to_vec()).priority(announcement.priority)
        };
        self.broker.send(&ids, announcements.iter().map(message).collect()).await
    }
}

async fn declare(broker: &dyn Broker, queue: &QueueName) -> Result<QueueName, Error> {
    let ids = QueueName::new(format!("{queue}{IDS}"))?;
    let options = QueueOptions::new(ids.as_str())?.max_messages(MAX_IDS).max_deliveries(u32::MAX);
    broker.declare(&options).await?;
    Ok(ids)
}

/// Ids as they come from the broker.
struct Incoming {
    broker: Arc<dyn Broker>,
    consumers: Mutex<HashMap<QueueName, Pull>>,
}

/// What comes of one queue.
struct Pull {
    consumer: Arc<tokio::sync::Mutex<Consumer>>,
    used: Instant,
}

impl Incoming {
    async fn consumer(&self, queue: &QueueName, ahead: u32) -> Result<Arc<tokio::sync::Mutex<Consumer>>, Error> {
        if let Some(pull) = locked(&self.consumers).get_mut(queue) {
            pull.used = Instant::now();
            return Ok(pull.consumer.clone());
        }
        let ids = declare(&*self.broker, queue).await?;
        let consumer = self.broker.consume(&ids, ConsumeOptions::prefetch(ahead)).await?;
        let pull = Pull { consumer: Arc::new(tokio::sync::Mutex::new(consumer)), used: Instant::now() };
        Ok(locked(&self.consumers).entry(queue.clone()).or_insert(pull).consumer.clone())
    }

    /// Gives ids back to the broker that came ahead for somebody who does not ask any more: others have time for them.
    fn give_back(&self) {
        locked(&self.consumers).retain(|_, pull| pull.used.elapsed() < AHEAD_FOR);
    }

    /// At least one id unless there is none by then, and at most so many: those that are here.
    async fn next(&self, queues: &[QueueName], most: usize, until: Instant) -> Result<Vec<Delivery>, Error> {
        let ahead = u32::try_from(most).unwrap_or(MOST_AHEAD).clamp(1, MOST_AHEAD);
        let mut pulls = Vec::with_capacity(queues.len());
        for queue in queues {
            let consumer = self.consumer(queue, ahead).await?;
            pulls.push((queue, consumer));
        }
        let mut deliveries = Vec::new();
        while deliveries.len() < most {
            let mut nexts: Vec<_> = pulls
                .iter()
                .map(|(queue, consumer)| Box::pin(async move { (*queue, consumer.lock().await.next().await) }))
                .collect();
            let first = std::future::poll_fn(|context| {
                for next in &mut nexts {
                    if let Poll::Ready(came) = next.as_mut().poll(context) {
                        return Poll::Ready(came);
                    }
                }
                Poll::Pending
            });
            // The first one is worth waiting for; the others are here or not.
            let until = if deliveries.is_empty() { until } else { Instant::now() };
            match timeout_at(until, first).await {
                Err(_) => break,
                Ok((_, Some(Ok(delivery)))) => deliveries.push(delivery),
                Ok((queue, ended)) => {
                    if let Some(Err(why)) = &ended {
                        tracing::debug!(%queue, %why, "the broker's ids are interrupted");
                    }
                    if !matches!(&ended, Some(Err(why)) if why.is_passing()) {
                        locked(&self.consumers).remove(queue);
                    }
                    break;
                }
            }
        }
        Ok(deliveries)
    }
}

/// Jobs whose ids come, until one of them is to be run.
async fn claim(
    handle: &Handle,
    incoming: &Incoming,
    claim: &Claim,
    wanted: impl Fn() -> bool,
) -> Result<Vec<Lease>, Error> {
    let deadline = Instant::now() + claim.wait;
    handle.introduce(claim.runner, &claim.name, &claim.queues).await?;
    loop {
        let until = deadline.min(Instant::now() + LOOK_EVERY);
        let deliveries = incoming.next(&claim.queues, claim.most.max(1), until).await?;
        let ids: Vec<JobId> = deliveries.iter().filter_map(|delivery| id(&delivery.message)).collect();
        let leases = if ids.is_empty() { Vec::new() } else { run::claim_by_id(handle, claim, &ids).await? };
        for delivery in deliveries {
            // Unsettled it comes again, and is stale then.
            if let Err(why) = delivery.ack().await {
                tracing::debug!(%why, "an id could not be acked");
            }
        }
        if !leases.is_empty() || Instant::now() >= deadline || *handle.closed.borrow() || !wanted() {
            return Ok(leases);
        }
    }
}

fn id(message: &Message) -> Option<JobId> {
    Some(JobId::from_bytes(message.body.as_slice().try_into().ok()?))
}

impl JobStore for Announced {
    fn name(&self) -> &'static str {
        self.name
    }

    fn can(&self, capability: Capability) -> bool {
        match capability {
            // The order is the broker's.
            Capability::Priority => self.broker.can(capability),
            other => self.store.can(other),
        }
    }

    fn submit(&self, works: Vec<Work>) -> BoxFuture<'_, Result<Vec<Result<Submitted, Error>>, Error>> {
        Box::pin(async move {
            let now = (self.store.handle.clock)();
            let announced: Vec<Vec<Announcement>> = works.iter().map(|work| announcements(work, now)).collect();
            let outcomes = self.store.submit(works).await?;
            let taken =
                outcomes.iter().zip(announced).filter(|(outcome, _)| matches!(outcome, Ok(Submitted::Taken(_))));
            let announced = weighed(taken.flat_map(|(_, announced)| announced).collect());
            let publisher = self.publisher.clone();
            // With confirms, so that a program may end right after; but the jobs are safe, whatever becomes of this.
            let published = async move {
                let _ = timeout_at(Instant::now() + CONFIRM_WITHIN, publisher.run(announced)).await;
                Ok(())
            };
            self.store.io.run(published).await?;
            Ok(outcomes)
        })
    }

    fn claim(&self, asked: Claim) -> BoxFuture<'_, Result<Vec<Lease>, Error>> {
        let incoming = self.incoming.clone();
        self.store.claim_by(|handle, wanted| async move { claim(&handle, &incoming, &asked, wanted).await })
    }

    fn renew(&self, runner: JobId, heartbeats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<Standing>, Error>> {
        self.store.renew(runner, heartbeats)
    }

    fn revoked(&self, runner: JobId, wait: Duration) -> BoxFuture<'_, Result<Vec<Revoked>, Error>> {
        self.store.revoked(runner, wait)
    }

    fn finish(&self, finishes: Vec<Finish>) -> BoxFuture<'_, Result<Vec<Recorded>, Error>> {
        self.store.finish(finishes)
    }

    fn ended(&self, job: JobId, wait: Duration) -> BoxFuture<'_, Result<Option<JobEnd>, Error>> {
        self.store.ended(job, wait)
    }

    fn changed(&self, job: JobId, seen: u64, wait: Duration) -> BoxFuture<'_, Result<JobStatus, Error>> {
        self.store.changed(job, seen, wait)
    }

    fn list(&self, filter: JobFilter) -> BoxFuture<'_, Result<Vec<JobStatus>, Error>> {
        self.store.list(filter)
    }

    fn cancel(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.store.cancel(job)
    }

    fn revive(&self, job: JobId) -> BoxFuture<'_, Result<(), Error>> {
        self.store.revive(job)
    }

    fn stats(&self, queue: Option<QueueName>) -> BoxFuture<'_, Result<Vec<QueueStats>, Error>> {
        self.store.stats(queue)
    }

    fn purge(&self, queue: QueueName, waiting: bool) -> BoxFuture<'_, Result<u64, Error>> {
        self.store.purge(queue, waiting)
    }

    fn pause(&self, what: Pause, paused: bool) -> BoxFuture<'_, Result<(), Error>> {
        self.store.pause(what, paused)
    }

    fn limit(&self, limits: KindLimits) -> BoxFuture<'_, Result<(), Error>> {
        self.store.limit(limits)
    }

    fn schedule(&self, name: String, schedule: Option<Schedule>) -> BoxFuture<'_, Result<(), Error>> {
        self.store.schedule(name, schedule)
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<Schedule>, Error>> {
        self.store.schedules()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            locked(&self.incoming.consumers).clear();
            self.store.close().await;
            self.broker.close().await;
        })
    }

    fn io(&self) -> Option<tokio::runtime::Handle> {
        self.store.io()
    }
}
