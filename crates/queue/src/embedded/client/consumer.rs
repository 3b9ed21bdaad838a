//! [`Deliveries`]: what one consumer gets, and how it is settled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;

use super::Handle;
use super::link::{Holds, Link};
use crate::embedded::words::{Delivered, Request, Settlement};
use crate::{BoxFuture, Delivery, Error, Message, Requeue, Settle, Token};

/// The deliveries of one consumer. Dropped, what was not settled comes back.
pub(super) struct Deliveries {
    pub(super) handle: Arc<Handle>,
    pub(super) consumer: u64,
    pub(super) received: mpsc::UnboundedReceiver<Result<Delivered, Error>>,
}

impl Stream for Deliveries {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match self.received.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(Delivered { token, message, attempt }))) => {
                    // After a new connection it may be on its way to somebody else by now.
                    if self.handle.link.has_delivery(&token) {
                        let ours = Ours { link: self.handle.link.clone(), token };
                        return Poll::Ready(Some(Ok(Delivery::new(message, attempt, attempt > 1, ours))));
                    }
                }
            }
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.handle.link.end_consumer(self.consumer);
    }
}

/// A delivery in our hands.
struct Ours {
    link: Arc<Link>,
    token: Token,
}

impl Ours {
    fn settle(self: Box<Self>, settlement: Settlement) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let Ours { link, token } = *self;
            link.ask(Request::Settle { token, settlement }, Holds::Frees(vec![token])).await.map(drop)
        })
    }
}

impl Settle for Ours {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.settle(Settlement::Ack)
    }

    fn nack(self: Box<Self>, _message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        self.settle(Settlement::Nack(delay(requeue)))
    }

    fn replace(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        self.settle(Settlement::Replace(message, delay(requeue)))
    }

    fn reject(self: Box<Self>, _message: Message) -> BoxFuture<'static, Result<(), Error>> {
        self.settle(Settlement::Reject)
    }
}

fn delay(requeue: Requeue) -> Duration {
    match requeue {
        Requeue::Now => Duration::ZERO,
        Requeue::After(time) => time,
    }
}
