//! [`Queue`]: a connection to a broker, by URL.

use std::fmt;
use std::sync::Arc;

use crate::blobs::BlobStore;
use crate::io::Io;
use crate::job::JobStore;
use crate::url::{Place, QueueUrl};
use crate::{Broker, ConsumeOptions, Consumer, Error, Message, QueueName, QueueOptions, QueueStats};

/// A connection to a broker. Cheap to clone; closed when the last clone is dropped, or by [`close`](Queue::close).
#[derive(Clone)]
pub struct Queue(Arc<Connection>);

/// What a scheme opens.
pub(crate) struct Backend {
    /// Messages.
    pub(crate) broker: Arc<dyn Broker>,
    /// Jobs.
    pub(crate) store: Arc<dyn JobStore>,
    /// Large payloads, if it has a place for them.
    pub(crate) blobs: Option<Arc<dyn BlobStore>>,
}

struct Connection {
    backend: Backend,
    url: QueueUrl,
    /// Our own, if the broker has no thread to share.
    io: Option<Io>,
}

impl Queue {
    /// Connects to the broker of this URL: see [`QueueUrl`]. Errors: [`Error::BadUrl`], also for a broker whose feature was not
    /// built; [`Error::Unavailable`] when it does not answer within 10 s.
    pub async fn connect(url: &str) -> Result<Queue, Error> {
        let url: QueueUrl = url.parse()?;
        let backend = open(&url).await?;
        Queue::of(backend, url)
    }

    pub(crate) fn of(backend: Backend, url: QueueUrl) -> Result<Queue, Error> {
        let io = if backend.store.io().is_none() { Some(Io::start("queue")?) } else { None };
        Ok(Queue(Arc::new(Connection { backend, url, io })))
    }

    /// The thread on which runners and executors of this handle wait. It runs no tasks.
    pub(crate) fn io(&self) -> Result<tokio::runtime::Handle, Error> {
        let own = || self.0.io.as_ref().map(|io| io.handle().clone());
        self.0.backend.store.io().or_else(own).ok_or(Error::Closed)
    }

    /// Makes a queue for messages, unless it is there. Queues for jobs need no declaration.
    pub async fn declare(&self, options: &QueueOptions) -> Result<(), Error> {
        self.0.backend.broker.declare(options).await
    }

    /// Sends a message. When this returns, it is durable: on disk (fsync), confirmed by the publisher confirm, or by all in-sync replicas.
    pub async fn send(&self, queue: &QueueName, message: impl Into<Message>) -> Result<(), Error> {
        self.send_batch(queue, vec![message.into()]).await
    }

    /// Sends many at once: as durable, and much faster than one after the other. On an error some may have been taken.
    pub async fn send_batch(&self, queue: &QueueName, messages: Vec<Message>) -> Result<(), Error> {
        self.0.backend.broker.send(queue, messages).await
    }

    /// Consumes a queue, with at most `prefetch` unsettled deliveries in our hands.
    pub async fn consume(&self, queue: &QueueName, prefetch: u32) -> Result<Consumer, Error> {
        self.0.backend.broker.consume(queue, ConsumeOptions::prefetch(prefetch)).await
    }

    /// What a queue of messages holds.
    pub async fn stats(&self, queue: &QueueName) -> Result<QueueStats, Error> {
        self.0.backend.broker.stats(queue).await
    }

    /// The broker, for what this handle does not offer.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.backend.broker
    }

    /// The keeper of jobs, for what [`Jobs`](crate::Jobs) does not offer.
    pub fn store(&self) -> &Arc<dyn JobStore> {
        &self.0.backend.store
    }

    /// Where large payloads go.
    pub fn blobs(&self) -> Option<&Arc<dyn BlobStore>> {
        self.0.backend.blobs.as_ref()
    }

    /// The URL.
    pub fn url(&self) -> &QueueUrl {
        &self.0.url
    }

    /// Ends the connection: consumers and runners end, what is unsettled comes back.
    pub async fn close(&self) {
        self.0.backend.store.close().await;
        self.0.backend.broker.close().await;
    }
}

async fn open(url: &QueueUrl) -> Result<Backend, Error> {
    // Each scheme's module has `async fn connect(&QueueUrl) -> Result<Backend, Error>`; its arm is added here with it.
    #[cfg(feature = "embedded")]
    if matches!(url.place, Place::Embedded(_)) {
        return crate::embedded::connect(url).await;
    }
    #[cfg(feature = "amqp")]
    if matches!(url.place, Place::Amqp(_)) {
        return crate::amqp::connect(url).await;
    }
    #[cfg(feature = "kafka")]
    if matches!(url.place, Place::Kafka { .. }) {
        return crate::kafka::connect(url).await;
    }
    #[cfg(feature = "postgres")]
    if matches!(url.place, Place::Postgres(_)) {
        return crate::postgres::connect(url).await;
    }
    let feature = match &url.place {
        Place::Embedded(_) => "embedded",
        Place::Amqp(_) => "amqp",
        Place::Kafka { .. } => "kafka",
        Place::Postgres(_) => "postgres",
    };
    Err(Error::BadUrl {
        url: format!("{url:?}"),
        reason: format!("this program was built without the feature \"{feature}\" of phalanx-queue"),
    })
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.0.url).finish()
    }
}
