//! [`Bounding`]: a broker whose declarations are heard by the store beside it: the bounds of a queue are those of its jobs too.

use std::sync::Arc;

use crate::io::Io;
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, Message, QueueName, QueueOptions, QueueStats,
};

use super::handle::Handle;
use super::values::int;

/// The broker, and who is to know the bounds.
pub(super) struct Bounding {
    broker: Arc<dyn Broker>,
    handle: Arc<Handle>,
    io: Arc<Io>,
}

impl Bounding {
    pub(super) fn new(broker: Arc<dyn Broker>, handle: Arc<Handle>, io: Arc<Io>) -> Bounding {
        Bounding { broker, handle, io }
    }
}

async fn bound(handle: &Handle, options: &QueueOptions) -> Result<(), Error> {
    let at_most = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let sql = "INSERT INTO queues (name, max_messages, max_bytes, max_deliveries) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (name) DO UPDATE SET max_messages = excluded.max_messages, max_bytes = excluded.max_bytes";
    let params: &super::link::Params<'_> = &[
        &options.name.as_str(),
        &at_most(options.max_messages),
        &at_most(options.max_bytes),
        &int(options.max_deliveries),
    ];
    handle.pool.query(sql, params).await?;
    Ok(())
}

impl Broker for Bounding {
    fn name(&self) -> &'static str {
        self.broker.name()
    }

    fn can(&self, capability: Capability) -> bool {
        self.broker.can(capability)
    }

    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.broker.declare(options).await?;
            let (handle, options) = (self.handle.clone(), options.clone());
            self.io.run(async move { bound(&handle, &options).await }).await
        })
    }

    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        self.broker.send(queue, messages)
    }

    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        self.broker.consume(queue, options)
    }

    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        self.broker.stats(queue)
    }

    fn peek<'a>(&'a self, queue: &'a QueueName, most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        self.broker.peek(queue, most)
    }

    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        self.broker.purge(queue)
    }

    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        self.broker.delete(queue)
    }

    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        self.broker.open_replies()
    }

    fn reply<'a>(&'a self, address: &'a str, message: Message) -> BoxFuture<'a, Result<(), Error>> {
        self.broker.reply(address, message)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.broker.close()
    }
}
