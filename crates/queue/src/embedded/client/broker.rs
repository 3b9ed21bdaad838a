//! Messages over the owner: [`Broker`] for [`Client`].

use super::consumer::Deliveries;
use super::link::Holds;
use super::{Client, NAME, pieces, unexpected};
use crate::embedded::words::{Reply, Request};
use crate::{
    BoxFuture, Broker, Capability, ConsumeOptions, Consumer, Error, Message, QueueName, QueueOptions, QueueStats,
};

/// What a message takes beside its body, header values and key, at most, in a frame: for dividing batches.
const AROUND_A_MESSAGE: usize = 512;

impl Broker for Client {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn can(&self, capability: Capability) -> bool {
        matches!(
            capability,
            Capability::Bound
                | Capability::DeadLetter
                | Capability::Delay
                | Capability::Priority
                | Capability::Stats
                | Capability::Peek
                | Capability::Purge
        )
    }

    fn declare<'a>(&'a self, options: &'a QueueOptions) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.done(Request::Declare(options.clone())))
    }

    fn send<'a>(&'a self, queue: &'a QueueName, messages: Vec<Message>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            for messages in pieces(messages, bytes_of) {
                self.done(Request::Send { queue: queue.clone(), messages }).await?;
            }
            Ok(())
        })
    }

    fn consume<'a>(&'a self, queue: &'a QueueName, options: ConsumeOptions) -> BoxFuture<'a, Result<Consumer, Error>> {
        Box::pin(async move {
            let prefetch = options.prefetch.max(1);
            let (consumer, received) = self.0.link.consumer(queue.clone(), prefetch);
            // Made before the owner is asked: dropped in the middle, it takes its beginning back.
            let deliveries = Deliveries { handle: self.0.clone(), consumer, received };
            let request = Request::Consume { queue: queue.clone(), consumer, prefetch };
            self.0.link.ask(request, Holds::Consumes(consumer)).await?;
            let link = self.0.link.clone();
            Ok(Consumer::new(deliveries).stopped_by(move || link.stop_consumer(consumer)))
        })
    }

    fn stats<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<QueueStats, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Stats(Some(queue.clone())), Holds::Nothing).await? {
                Reply::Stats(stats) => {
                    let found = stats.into_iter().next();
                    found.ok_or_else(|| Error::NoSuchQueue { queue: queue.to_string() })
                }
                other => Err(unexpected(&other)),
            }
        })
    }

    fn peek<'a>(&'a self, queue: &'a QueueName, most: usize) -> BoxFuture<'a, Result<Vec<Message>, Error>> {
        Box::pin(async move {
            match self.0.link.ask(Request::Peek { queue: queue.clone(), most }, Holds::Nothing).await? {
                Reply::Messages(messages) => Ok(messages),
                other => Err(unexpected(&other)),
            }
        })
    }

    fn purge<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(self.count(Request::PurgeMessages { queue: queue.clone() }))
    }

    fn delete<'a>(&'a self, queue: &'a QueueName) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.done(Request::Delete { queue: queue.clone() }))
    }

    fn open_replies(&self) -> BoxFuture<'_, Result<(String, Consumer), Error>> {
        Box::pin(async { Err(Error::unsupported(Capability::Reply, NAME)) })
    }

    fn reply<'a>(&'a self, _address: &'a str, _message: Message) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(Error::unsupported(Capability::Reply, NAME)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.link.close())
    }
}

fn bytes_of(message: &Message) -> usize {
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    message.body.len() + headers + message.key.as_ref().map_or(0, Vec::len) + AROUND_A_MESSAGE
}
