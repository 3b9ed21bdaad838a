//! [`Shared`]: what all parts of a handle use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::errors;
use super::producer::{Producer, Record};
use super::record::Carried;
use super::retry::Keeper;
use super::settings::Settings;
use super::topics::{Purpose, Topics};
use crate::io::Io;
use crate::{Error, Message, QueueName};

/// How long one try to reach a broker may take.
const GREET_TRY: Duration = Duration::from_millis(500);
/// More than librdkafka says in that time.
const EVENTS_READ: usize = 64;

/// Ends one of the handle's threads.
type Stop = dyn Fn() + Send + Sync;

/// The handle's parts that its threads and deliveries keep alive.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) topics: Topics,
    pub(super) producer: Producer,
    io: Io,
    /// One for each queue that is consumed, as long as it is.
    pub(super) forwarders: Mutex<BTreeMap<QueueName, Weak<Keeper>>>,
    threads: Mutex<Threads>,
}

struct Threads {
    /// Gone with their threads.
    stops: Vec<Weak<Stop>>,
    /// Each thread holds one end: the other one is cut off when the last thread has ended.
    running: Option<std::sync::mpsc::Sender<()>>,
    ended: Option<std::sync::mpsc::Receiver<()>>,
}

/// A thread of the handle has this as long as it runs.
pub(super) struct Running {
    _end: std::sync::mpsc::Sender<()>,
    _stop: Arc<Stop>,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Result<Shared, Error> {
        let io = Io::start("kafka-io")?;
        let (running, ended) = std::sync::mpsc::channel();
        let threads = Threads { stops: Vec::new(), running: Some(running), ended: Some(ended) };
        Ok(Shared {
            topics: Topics::new(&settings),
            producer: Producer::new(&settings, io.handle().clone())?,
            settings,
            io,
            forwarders: Mutex::default(),
            threads: Mutex::new(threads),
        })
    }

    /// Where to wait, and to spawn what nobody waits for.
    pub(super) fn io(&self) -> &tokio::runtime::Handle {
        self.io.handle()
    }

    /// For a thread that is about to begin, with the way to end it. [`Error::Closed`] if the handle was closed.
    pub(super) fn begin(&self, stop: impl Fn() + Send + Sync + 'static) -> Result<Running, Error> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let running = threads.running.clone().ok_or(Error::Closed)?;
        let stop: Arc<Stop> = Arc::new(stop);
        threads.stops.retain(|stop| stop.strong_count() > 0);
        threads.stops.push(Arc::downgrade(&stop));
        Ok(Running { _end: running, _stop: stop })
    }

    /// [`stop`](Shared::stop), for those who may not be held up.
    pub(super) async fn stop_aside(self: &Arc<Self>, within: Duration) {
        let stopped = self.ask(move |shared| {
            shared.stop(within);
            Ok(())
        });
        // Without a thread to wait on, all ends when the handle is dropped.
        let _ = stopped.await;
    }

    /// Ends all threads, and waits for that at most this long.
    pub(super) fn stop(&self, within: Duration) {
        let (stops, ended) = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.running = None;
            (std::mem::take(&mut threads.stops), threads.ended.take())
        };
        stops.iter().filter_map(Weak::upgrade).for_each(|stop| stop());
        if let Some(ended) = ended {
            // Nothing is ever sent: it is cut off, or the time is over.
            let _ = ended.recv_timeout(within);
        }
    }

    /// [`Error::Closed`] if the handle was closed.
    pub(super) fn open(&self) -> Result<(), Error> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.running.is_some() { Ok(()) } else { Err(Error::Closed) }
    }

    /// [`Error::NoSuchQueue`] if there is no such topic.
    pub(super) async fn check(self: &Arc<Self>, topic: &str) -> Result<(), Error> {
        self.open()?;
        if self.topics.is_known(topic) {
            return Ok(());
        }
        let topic = topic.to_owned();
        self.aside(move |shared| shared.topics.partitions(&topic).map(drop)).await
    }

    /// Sends a message to a topic that is made if it is not there.
    pub(super) async fn put(self: &Arc<Self>, topic: &str, message: &Message, carried: Carried) -> Result<(), Error> {
        if let Err(Error::NoSuchQueue { .. }) = self.check(topic).await {
            let (shared, wanted) = (Arc::clone(self), [(topic.to_owned(), 1, Purpose::Queue)]);
            self.aside_async(async move { shared.topics.make(&wanted).await }).await?;
        }
        self.producer.send_records(std::iter::once(Record::new(topic, message, carried))).await
    }

    /// Runs what waits for brokers on a thread of its own: librdkafka has no other way to ask them.
    pub(super) async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.open()?;
        self.ask(work).await
    }

    async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Shared>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, result) = oneshot::channel();
        let shared = Arc::clone(self);
        std::thread::Builder::new()
            .name("kafka-ask".to_owned())
            .spawn(move || {
                // Whoever asked may have gone away.
                let _ = done.send(work(&shared));
            })
            .map_err(|error| Error::unavailable(super::BROKER, format_args!("cannot start a thread: {error}")))?;
        result.await.map_err(|_| Error::Closed)?
    }

    /// The same for a future whose end blocks.
    pub(super) async fn aside_async<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let io = self.io().clone();
        self.aside(move |_| io.block_on(work)).await
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// Asks whether brokers answer. What they say, or what librdkafka says in their place.
pub(super) fn greet(settings: &Settings, topics: &Topics, deadline: Duration) -> Result<(), Error> {
    use rdkafka::consumer::Consumer as _;
    let reader = topics.reader(&settings.plain())?;
    let end = Instant::now() + deadline;
    loop {
        let Err(error) = reader.fetch_metadata(Some("phalanx.queues"), GREET_TRY) else { return Ok(()) };
        // Why it failed is told beside it.
        for _ in 0..EVENTS_READ {
            let _ = reader.poll(Duration::ZERO);
        }
        let reason = reader.context().last_error();
        if let Some((cause, reason)) = &reason
            && let Error::Refused { broker, .. } = errors::of(cause)
        {
            // The same again would be refused again.
            return Err(Error::Refused { broker, reason: reason.clone() });
        }
        if Instant::now() > end {
            return Err(
                reason.map_or_else(|| errors::of(&error), |(_, reason)| Error::unavailable(super::BROKER, reason))
            );
        }
    }
}
