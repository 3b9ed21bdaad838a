//! [`RabbitMq`]: the [`Broker`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::address::Address;
use super::consume::{Deliveries, Kind, Source};
use super::link::{Link, Start};
use super::publish::{Outgoing, Trouble, Unroutable, WINDOW, WINDOW_BYTES};
use super::topology::{self, Made};
use super::{NAME, convert, delay};
use crate::io::{Io, within};
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, JobId, Message, QueueName, QueueOptions,
    QueueStats, QueueUrl,
};

/// Of every call that RabbitMQ has to confirm.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Replies in our hands at a time.
const REPLIES_PREFETCH: u16 = 1000;
/// The channel on which answers go out, whatever their address.
const ANSWERS: &str = "";
/// In front of a queue of replies.
const REPLIES: &str = "phalanx.reply.";
/// Of AMQP, in bytes.
const LONGEST_NAME: usize = 255;

/// A handle.
pub(super) struct RabbitMq {
    shared: Arc<Shared>,
}

/// What the handle, its consumers and its deliveries share.
pub(super) struct Shared {
    address: Address,
    io: Arc<Io>,
    sends: Link,
    consumes: OnceCell<Arc<Link>>,
    /// What this handle has declared.
    declared: Mutex<HashMap<String, Limits>>,
    /// Rungs that are there, unless somebody removed them.
    rungs: Mutex<HashSet<String>>,
}

#[derive(Clone, Copy)]
struct Limits {
    messages: u64,
    deliveries: u32,
}

impl RabbitMq {
    /// Connects, within 10 s.
    pub(super) async fn connect(url: &QueueUrl) -> Result<RabbitMq, Error> {
        let address = Address::of(url)?;
        let io = Arc::new(Io::start("phalanx-amqp")?);
        let sends = Link::open(io.clone(), address.clone(), "sends", Start::Reached).await?;
        let (declared, rungs) = (Mutex::default(), Mutex::default());
        let shared = Shared { address, io, sends, consumes: OnceCell::new(), declared, rungs };
        Ok(RabbitMq { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// The connection on which we consume, made with the first consumer.
    async fn consumes(&self) -> Result<&Arc<Link>, Error> {
        if self.sends.is_closed() {
            return Err(Error::Closed);
        }
        let open = || async {
            let link = Link::open(self.io.clone(), self.address.clone(), "consumes", Start::InBackground).await?;
            Ok(Arc::new(link))
        };
        self.consumes.get_or_try_init(open).await
    }

    /// Sends all of these, in windows. When it returns, they are safe.
    pub(super) async fn send(
        &self,
        queue: &str,
        messages: &[Outgoing],
        unroutable: Unroutable,
        until: Instant,
    ) -> Result<(), Error> {
        let channel = if unroutable == Unroutable::IsDropped { ANSWERS } else { queue };
        let mut rest = messages;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(window(rest));
            self.send_window(channel, queue, now, unroutable, until).await?;
            rest = later;
        }
        Ok(())
    }

    async fn send_window(
        &self,
        channel: &str,
        queue: &str,
        window: &[Outgoing],
        unroutable: Unroutable,
        until: Instant,
    ) -> Result<(), Error> {
        loop {
            let live = self.sends.live(until).await?;
            live.unblocked(&self.io, until).await?;
            let trouble = match live.publishers.of(&live, &self.sends, channel, until).await {
                Ok(publisher) => match publisher.publish(queue, window, unroutable, self.io.handle(), until).await {
                    Ok(()) => return Ok(()),
                    Err(trouble) => trouble,
                },
                Err(error) if error.is_passing() => Trouble::NotBegun,
                Err(error) => return Err(error),
            };
            self.sends.suspect();
            match trouble {
                Trouble::Failed(Error::Unavailable { broker, reason }) => {
                    let reason = live.why_blocked().map_or(reason, |why| format!("it takes no messages now: {why}"));
                    return Err(Error::Unavailable { broker, reason });
                }
                Trouble::Failed(Error::Full { queue, retry_after, .. }) => {
                    return Err(self.how_full(queue, retry_after, until).await);
                }
                Trouble::Failed(error) => return Err(error),
                Trouble::NotBegun => self.breathe().await,
            }
        }
    }

    /// Between two tries.
    async fn breathe(&self) {
        const PAUSE: Duration = Duration::from_millis(20);
        let _ = within(self.io.handle(), PAUSE, std::future::pending::<()>()).await;
    }

    async fn how_full(&self, queue: String, retry_after: Option<Duration>, until: Instant) -> Error {
        let waiting = topology::look(&self.sends, &queue, until).await.map_or(0, |queue| queue.message_count().into());
        let limit = lock(&self.declared).get(&queue).map_or(waiting, |limits| limits.messages);
        Error::Full { queue, waiting, limit, retry_after }
    }

    /// Sends these to wait in a rung, which is made if it is not there.
    pub(super) async fn send_to_rung(
        &self,
        queue: &str,
        rung: Duration,
        messages: &[Outgoing],
        until: Instant,
    ) -> Result<(), Error> {
        let name = delay::name(queue, rung);
        let mut may_be_gone = lock(&self.rungs).contains(&name);
        loop {
            if !may_be_gone {
                delay::declare(&self.sends, queue, rung, until).await?;
                lock(&self.rungs).insert(name.clone());
            }
            match self.send(&name, messages, Unroutable::IsAnError, until).await {
                // Somebody removed it with its queue, and has made the queue again.
                Err(Error::NoSuchQueue { .. }) if may_be_gone => may_be_gone = false,
                result => return result,
            }
        }
    }

    /// After how many deliveries a message of this queue is dead, as far as this handle knows.
    pub(super) fn max_deliveries(&self, queue: &str) -> u32 {
        lock(&self.declared).get(queue).map_or(u32::MAX, |limits| limits.deliveries)
    }

    async fn declare(&self, options: &QueueOptions) -> Result<(), Error> {
        let until = Instant::now() + CALL_DEADLINE;
        let queue = options.name.as_str();
        if options.passive {
            return topology::look(&self.sends, queue, until).await.map(drop);
        }
        let mut is_new = false;
        if let Some(dead_letter) = &options.dead_letter {
            // As it is, if it is there.
            let seen = topology::look(&self.sends, dead_letter.as_str(), until).await;
            if let Err(Error::NoSuchQueue { .. }) = seen {
                let arguments = topology::arguments(&QueueOptions::new(dead_letter.as_str())?);
                topology::declare(&self.sends, dead_letter.as_str(), arguments, until).await?;
                is_new = true;
            } else {
                seen?;
            }
        }
        is_new |= topology::provide(&self.sends, queue, topology::arguments(options), until).await? == Made::Now;
        if is_new {
            topology::of_age(&self.sends).await;
        }
        let limits = Limits { messages: options.max_messages, deliveries: options.max_deliveries };
        lock(&self.declared).insert(queue.to_owned(), limits);
        Ok(())
    }

    async fn consume(self: &Arc<Self>, source: Source) -> Result<Consumer, Error> {
        let link = self.consumes().await?.clone();
        let until = Instant::now() + CALL_DEADLINE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match within(self.io.handle(), left, source.open(&link)).await {
                Ok(Ok(opened)) => {
                    return Ok(Deliveries::new(self.clone(), link, source, opened).into_consumer());
                }
                Ok(Err(error)) if error.is_passing() && !left.is_zero() => self.breathe().await,
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(Error::unavailable(NAME, "it gave no deliveries in time")),
            }
        }
    }

    async fn purge(&self, queue: &str) -> Result<u64, Error> {
        let until = Instant::now() + CALL_DEADLINE;
        let mut gone = topology::purge(&self.sends, queue, until).await?;
        for rung in delay::names(queue) {
            match topology::purge(&self.sends, &rung, until).await {
                Err(Error::NoSuchQueue { .. }) => {}
                result => gone += result?,
            }
        }
        Ok(gone)
    }

    async fn delete(&self, queue: &str) -> Result<(), Error> {
        let until = Instant::now() + CALL_DEADLINE;
        // The rungs first: what waits in them would have no way to go.
        let mut names = delay::names(queue);
        lock(&self.rungs).retain(|rung| !names.contains(rung));
        names.push(queue.to_owned());
        topology::delete(&self.sends, &names, until).await?;
        lock(&self.declared).remove(queue);
        Ok(())
    }
}

/// How many of these are sent at once.
fn window(messages: &[Outgoing]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Outgoing| {
        bytes += message.body.len();
        bytes <= WINDOW_BYTES
    };
    messages.iter().take(WINDOW).take_while(fits).count().max(1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker for RabbitMq {
    fn name(&self) -> &'static str {
        NAME
    }

    fn can(&self, capability: Capability) -> bool {
        use Capability::{Bound, DeadLetter, Delay, Purge, Reply, Stats};
        matches!(capability, Bound | DeadLetter | Delay | Stats | Purge | Reply)
    }

    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.shared.declare(options))
    }

    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let until = Instant::now() + CALL_DEADLINE;
            let outgoing = messages.into_iter().map(outgoing).collect::<Result<Vec<_>, _>>()?;
            self.shared.send(queue.as_str(), &outgoing, Unroutable::IsAnError, until).await
        })
    }

    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        let prefetch = u16::try_from(options.prefetch).unwrap_or(u16::MAX);
        let source = Source { queue: queue.as_str().into(), prefetch, kind: Kind::Queue };
        Box::pin(self.shared.consume(source))
    }

    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        Box::pin(async move {
            let seen = topology::look(&self.shared.sends, queue.as_str(), Instant::now() + CALL_DEADLINE).await?;
            Ok(QueueStats {
                queue: queue.to_string(),
                ready: seen.message_count().into(),
                consumers: seen.consumer_count().into(),
                ..QueueStats::default()
            })
        })
    }

    fn peek<'a>(&'a self, _queue: &'a QueueName, _most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        Box::pin(async { Err(Error::unsupported(Capability::Peek, NAME)) })
    }

    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(self.shared.purge(queue.as_str()))
    }

    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.shared.delete(queue.as_str()))
    }

    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        Box::pin(async {
            let queue = format!("{REPLIES}{}", JobId::new());
            let source = Source { queue: queue.as_str().into(), prefetch: REPLIES_PREFETCH, kind: Kind::Replies };
            Ok((queue, self.shared.consume(source).await?))
        })
    }

    fn reply<'a>(&'a self, address: &'a str, message: Message) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            // Nobody can have such a queue.
            if address.len() > LONGEST_NAME {
                return Ok(());
            }
            let until = Instant::now() + CALL_DEADLINE;
            self.shared.send(address, &[outgoing(message)?], Unroutable::IsDropped, until).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(consumes) = self.shared.consumes.get() {
                consumes.close().await;
            }
            self.shared.sends.close().await;
        })
    }
}

fn outgoing(message: Message) -> Result<Outgoing, Error> {
    Ok(Outgoing { properties: convert::properties(&message, 0, None)?, body: message.body })
}
