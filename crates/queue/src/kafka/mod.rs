//! Kafka, by librdkafka: a queue is a topic, its consumers are a consumer group.
//!
//! ```text
//!   send ── acks=all ─► topic ─► group phalanx.QUEUE: one member for each Consumer ─► Delivery ─ ack ─► committed
//!                         ▲                                     │       nack, up to 10 s: stays with the member
//!                         └── retry topics ◄── nack for longer ─┤
//!                             QUEUE.dead   ◄── reject, poison ──┘
//! ```
//!
//! **Settled is settled.** A commit carries which messages behind the mark are unsettled too, and how often each was begun, in the text
//! beside the offset ([`window`]). So acks may come in any order: none comes again, also after a crash. An `ack` costs a
//! commit (Kafka 4 gathers these for 5 ms), which all that come meanwhile share: ack many at a time, not one after the other.
//!
//! **Kept for ever, then removed.** Topics that `declare` makes have no age limit; what is settled is removed by the consumers. From a
//! topic of somebody else nothing is removed, its own retention holds, and its dead letters go to `QUEUE.dead`.
//! Programs that use another group see the same records, as long as they are there.
//!
//! **Leaving.** A partition that goes to another member waits up to 2 s for what is in hand; later settlements are
//! [`Error::Stale`]. A consumer that dies is noticed after `session_ms` (10 s); `Queue::close` lets others go on at once.
//!
//! What it does not do: bounds, priorities (Kafka has neither), an order among messages that are retried. A queue has at most as many
//! working consumers as its topic has partitions.

mod context;
mod declared;
mod errors;
mod look;
mod member;
mod producer;
mod record;
mod replies;
mod retry;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod topics;
mod window;

use std::sync::Arc;
use std::time::Duration;

use self::declared::Declared;
use self::settings::{CONNECT_DEADLINE, Settings};
use self::shared::Shared;
use self::topics::{Purpose, RUNGS};
use crate::queue::Backend;
use crate::url::QueueUrl;
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, Message, QueueName, QueueOptions, QueueStats,
};

/// For messages to people.
const BROKER: &str = "Kafka";
/// How long a handle that is closed waits for its consumers to leave their groups.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// A connection to a cluster of Kafka.
struct Kafka {
    /// Kept alive by consumers and deliveries too.
    shared: Arc<Shared>,
}

/// Connects; waits until a broker answers.
pub(crate) async fn connect(url: &QueueUrl) -> Result<Backend, Error> {
    let broker: Arc<dyn Broker> = Arc::new(Kafka::connect(url).await?);
    if url.state.is_some() {
        #[cfg(feature = "postgres")]
        return crate::postgres::beside(url, broker).await;
        #[cfg(not(feature = "postgres"))]
        return Err(Error::unsupported(crate::Capability::Results, BROKER));
    }
    let store = Arc::new(crate::plain::PlainStore::new(Arc::clone(&broker))?);
    Ok(Backend { broker, store, blobs: crate::blobs::of(url, None)? })
}

impl Kafka {
    async fn connect(url: &QueueUrl) -> Result<Kafka, Error> {
        let settings = Settings::new(url)?;
        let shared = Arc::new(Shared::new(settings)?);
        shared.aside(|shared| shared::greet(&shared.settings, &shared.topics, CONNECT_DEADLINE)).await?;
        Ok(Kafka { shared })
    }

    async fn make(&self, options: &QueueOptions) -> Result<(), Error> {
        let (shared, queue) = (Arc::clone(&self.shared), options.name.clone());
        let (was_there, found) = self
            .shared
            .aside(move |shared| {
                let was_there = match shared.topics.partitions(queue.as_str()) {
                    Ok(_) => true,
                    Err(Error::NoSuchQueue { .. }) => false,
                    Err(error) => return Err(error),
                };
                Ok((was_there, Declared::find(shared, &queue)?))
            })
            .await?;
        let wanted = Declared::new(options, found.as_ref().map_or(!was_there, |found| found.made));
        if let Some(found) = &found
            && was_there
        {
            let differs = |what: &str, is: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| Error::Mismatch {
                queue: options.name.as_str().to_owned(),
                reason: format!("{what} is {is:?}, not {wanted:?}"),
            };
            if found.dead_letter != wanted.dead_letter {
                return Err(differs("the dead-letter queue", &found.dead_letter, &wanted.dead_letter));
            }
            if found.max_deliveries != wanted.max_deliveries {
                return Err(differs("max_deliveries", &found.max_deliveries, &wanted.max_deliveries));
            }
        }
        let partitions = i32::try_from(options.partitions.max(1)).unwrap_or(i32::MAX);
        let mut topics = vec![(options.name.as_str().to_owned(), partitions, Purpose::Queue)];
        topics.extend(RUNGS.iter().map(|rung| (rung.topic(&options.name), 1, Purpose::Queue)));
        topics.extend(options.dead_letter.iter().map(|dead| (dead.as_str().to_owned(), 1, Purpose::Queue)));
        let is_known = was_there && found.is_some();
        let name = options.name.clone();
        self.shared
            .aside_async(async move {
                shared.topics.make(&topics).await?;
                if is_known { Ok(()) } else { wanted.keep(&shared, &name).await }
            })
            .await
    }

    async fn begin(&self, queue: &QueueName, options: ConsumeOptions) -> Result<Consumer, Error> {
        self.shared.check(queue.as_str()).await?;
        let queue = queue.clone();
        self.shared
            .aside(move |shared| {
                let declared = match Declared::find(shared, &queue)? {
                    Some(declared) => declared,
                    None => Declared::foreign(&queue)?,
                };
                let forwarder = retry::share(shared, &queue)?;
                member::start(shared, &queue, declared, options, forwarder)
            })
            .await
    }
}

impl Broker for Kafka {
    fn name(&self) -> &'static str {
        BROKER
    }

    fn can(&self, capability: Capability) -> bool {
        use Capability::{DeadLetter, Delay, Peek, Purge, Reply, Stats};
        matches!(capability, DeadLetter | Delay | Stats | Peek | Purge | Reply)
    }

    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.make(options))
    }

    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.shared.check(queue.as_str()).await?;
            let sent = self.shared.producer.send(queue.as_str(), &messages, record::Carried::default()).await;
            if let Err(Error::NoSuchQueue { .. }) = sent {
                self.shared.topics.forget(queue.as_str());
            }
            sent
        })
    }

    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        Box::pin(self.begin(queue, options))
    }

    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        let queue = queue.clone();
        Box::pin(self.shared.aside(move |shared| look::stats(shared, &queue)))
    }

    fn peek<'a>(&'a self, queue: &'a QueueName, most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        let queue = queue.clone();
        Box::pin(self.shared.aside(move |shared| look::peek(shared, &queue, most)))
    }

    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        let queue = queue.clone();
        Box::pin(self.shared.aside(move |shared| {
            let waiting = look::waiting(shared, &queue)?;
            for part in &waiting {
                shared.io().block_on(shared.topics.cut(&part.topic, &part.ends))?;
            }
            Ok(waiting.iter().map(|part| part.messages).sum())
        }))
    }

    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        Box::pin(self.shared.aside(move |shared| {
            shared.topics.partitions(queue.as_str())?;
            let rungs = RUNGS.map(|rung| rung.topic(&queue));
            let mut topics = vec![queue.as_str()];
            topics.extend(rungs.iter().map(String::as_str));
            shared.io().block_on(async {
                shared.topics.delete(&topics).await?;
                Declared::strike(shared, &queue).await
            })
        }))
    }

    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        Box::pin(replies::open(&self.shared))
    }

    fn reply<'a>(&'a self, address: &'a str, message: Message) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.shared.open()?;
            replies::reply(&self.shared, address, message).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.stop_aside(CLOSE_DEADLINE))
    }
}
