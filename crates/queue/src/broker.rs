//! [`Broker`]: what every kind of queue does with messages. One implementation each in `embedded`, `amqp`, `kafka`, `postgres`.

use std::future::Future;
use std::pin::Pin;

use crate::{Capability, ConsumeOptions, Consumer, Error, Message, QueueName, QueueOptions, QueueStats};

/// A future in a box: what makes [`Broker`] and [`JobStore`](crate::job::JobStore) usable as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection to a broker, for messages. Reconnects by itself; a call that cannot be finished in its deadline ends with
/// [`Error::Unavailable`]. Its futures run anywhere: what needs a runtime runs on the `Io` thread of the handle.
pub trait Broker: Send + Sync + 'static {
    /// `embedded`, `RabbitMQ`, `Kafka`, `PostgreSQL`: for messages to people.
    fn name(&self) -> &'static str;

    /// Whether it can do this with messages.
    fn can(&self, capability: Capability) -> bool;

    /// Makes the queue, unless it is there.
    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>>;

    /// Sends all of these; when it returns, they are durable. On an error some may have been taken.
    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>>;

    /// Begins to consume.
    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>>;

    /// What the queue holds.
    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>>;

    /// The oldest waiting messages, without taking them.
    fn peek<'a>(&'a self, queue: &'a QueueName, most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>>;

    /// Throws all waiting messages away; how many there were.
    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>>;

    /// Removes the queue with all that is in it.
    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>>;

    /// A place to which answers for this handle come, and its address; it is gone with the handle. [`Capability::Reply`].
    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>>;

    /// Sends an answer to such an address. One that is gone is no error.
    fn reply<'a>(&'a self, address: &'a str, message: Message) -> BoxFuture<'a, Result<(), Error>>;

    /// Ends the connection; consumers end, what is unsettled comes back. Idempotent.
    fn close(&self) -> BoxFuture<'_, ()>;
}
