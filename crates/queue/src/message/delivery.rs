//! [`Delivery`]: a message that was handed to us, until we say what became of it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use crate::{BoxFuture, Error, Message};

/// What to do with a message that was not worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// Back into its queue, for anybody.
    Now,
    /// Back after this time, if the broker [can](crate::Capability::Delay).
    After(Duration),
}

/// The broker's side of one delivery. Implemented by brokers; each is called at most once.
pub trait Settle: Send {
    /// The message was worked on: it is gone for ever once this returns.
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
    /// It was not, and shall come again. The message is given back: some brokers have to send it anew.
    fn nack(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>>;
    /// Puts `message` in its place, with confirmation, and then lets it go: how a retry with changed headers is made.
    fn replace(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>>;
    /// It never can be: to the dead-letter queue, or gone where none was declared. The message is given back, as above.
    fn reject(self: Box<Self>, message: Message) -> BoxFuture<'static, Result<(), Error>>;
}

/// A message in our hands. Dropped without a word it comes back when the consumer is dropped (at latest), as AMQP has it.
#[must_use = "a delivery that is dropped comes again; ack() it"]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// How often it was delivered, this time included, as far as the broker counts; 0 if it does not.
    pub attempt: u32,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// For brokers: a delivery with its way back.
    pub fn new(message: Message, attempt: u32, redelivered: bool, settle: impl Settle + 'static) -> Delivery {
        Delivery { message, attempt, redelivered, settle: Box::new(settle) }
    }

    /// The message was worked on. When this returns, it never comes again.
    pub async fn ack(self) -> Result<(), Error> {
        self.settle.ack().await
    }

    /// The message shall come again.
    pub async fn nack(self, requeue: Requeue) -> Result<(), Error> {
        self.settle.nack(self.message, requeue).await
    }

    /// Another message shall come in its place: the same with changed headers, say. Never lost between the two; after a crash in the
    /// middle both may come.
    pub async fn replace(self, message: Message, requeue: Requeue) -> Result<(), Error> {
        self.settle.replace(message, requeue).await
    }

    /// The message can never be worked on: it goes to the dead-letter queue, or is gone where none was declared.
    pub async fn reject(self) -> Result<(), Error> {
        self.settle.reject(self.message).await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.message.id)
            .field("bytes", &self.message.body.len())
            .field("attempt", &self.attempt)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

/// The deliveries of one queue: a stream that ends when the queue is closed. No more than its prefetch are in our hands at a time.
/// What was not settled comes back (to anybody) when it is dropped.
pub struct Consumer {
    deliveries: Pin<Box<dyn Stream<Item = Result<Delivery, Error>> + Send>>,
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl Consumer {
    /// For brokers: deliveries as a stream. After an error that is not [passing](Error::is_passing) it ends.
    pub fn new(deliveries: impl Stream<Item = Result<Delivery, Error>> + Send + 'static) -> Consumer {
        Consumer { deliveries: Box::pin(deliveries), stop: None }
    }

    /// For brokers: one that can be [stopped](Consumer::stop).
    #[must_use]
    pub fn stopped_by(mut self, stop: impl FnOnce() + Send + 'static) -> Consumer {
        self.stop = Some(Box::new(stop));
        self
    }

    /// Asks the broker for no more. What is on its way still comes, and then the stream ends; what is in hand stays so until the consumer
    /// is dropped. Whether this broker can do that, and was not asked before.
    pub fn stop(&mut self) -> bool {
        self.stop.take().map(|stop| stop()).is_some()
    }

    /// The next delivery; `None` when the queue was closed.
    pub async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        std::future::poll_fn(|context| self.deliveries.as_mut().poll_next(context)).await
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.deliveries.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}
