//! [`QueueOptions`]: what a queue shall be like.

use serde::{Deserialize, Serialize};

use crate::{Error, QueueName};

/// A queue that [`declare`](crate::Queue::declare) makes, unless it is there already. Declaring it again with other properties is
/// [`Error::Mismatch`], as in AMQP, where the broker can tell; limits may be changed at any time on the embedded queue and PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueOptions {
    /// Its name.
    pub name: QueueName,
    /// Messages that may wait: default 100 000. More are refused with [`Error::Full`].
    pub max_messages: u64,
    /// Bytes that may wait: default 10 GiB.
    pub max_bytes: u64,
    /// Where rejected messages go, and those that were delivered `max_deliveries` times; by default nowhere: they are gone.
    pub dead_letter: Option<QueueName>,
    /// Deliveries before a message is dead: default 20, as quorum queues of RabbitMQ 4 have it.
    pub max_deliveries: u32,
    /// Kafka: partitions of the topic, if it is made. Default 4.
    pub partitions: u32,
    /// RabbitMQ: use a queue that exists as it is (a classic durable one, say), and never declare it.
    pub passive: bool,
}

impl QueueOptions {
    /// A durable queue of this name with the default bounds.
    pub fn new<N: TryInto<QueueName>>(name: N) -> Result<QueueOptions, Error>
    where
        Error: From<N::Error>,
    {
        Ok(QueueOptions {
            name: name.try_into()?,
            max_messages: 100_000,
            max_bytes: 10 << 30,
            dead_letter: None,
            max_deliveries: 20,
            partitions: 4,
            passive: false,
        })
    }

    /// Messages that may wait.
    pub fn max_messages(mut self, most: u64) -> Self {
        self.max_messages = most;
        self
    }

    /// Bytes that may wait.
    pub fn max_bytes(mut self, most: u64) -> Self {
        self.max_bytes = most;
        self
    }

    /// Where rejected messages go. That queue is made too.
    pub fn dead_letter(mut self, queue: QueueName) -> Self {
        self.dead_letter = Some(queue);
        self
    }

    /// Deliveries before a message is dead.
    pub fn max_deliveries(mut self, most: u32) -> Self {
        self.max_deliveries = most;
        self
    }

    /// Kafka: partitions of the topic, if it is made.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// RabbitMQ: use the queue that exists, as it is.
    pub fn passive(mut self) -> Self {
        self.passive = true;
        self
    }
}

/// How a queue is consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConsumeOptions {
    /// Deliveries that may be in our hands at a time, at least 1.
    pub prefetch: u32,
}

impl ConsumeOptions {
    /// With so many deliveries in our hands.
    pub fn prefetch(prefetch: u32) -> ConsumeOptions {
        ConsumeOptions { prefetch: prefetch.max(1) }
    }
}

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueStats {
    /// Its name.
    pub queue: String,
    /// Messages and jobs that wait and could be taken now.
    pub ready: u64,
    /// That wait for their time (delayed, retried).
    pub scheduled: u64,
    /// In somebody's hands.
    pub leased: u64,
    /// Parents that wait for their children.
    pub waiting_children: u64,
    /// Jobs that are done and whose results are kept.
    pub done: u64,
    /// Dead ones that are kept.
    pub dead: u64,
    /// Bytes that wait.
    pub bytes: u64,
    /// How long the oldest ready one has waited, in milliseconds.
    pub oldest_ms: u64,
    /// Consumers and runners.
    pub consumers: u64,
    /// Whether it is paused.
    pub paused: bool,
}
