//! [`Unsettled`]: what becomes of a delivery.

use std::sync::Arc;
use std::time::Instant;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use lapin::types::FieldTable;

use super::broker::{CALL_DEADLINE, Shared};
use super::publish::{Outgoing, Unroutable};
use super::{convert, delay, failure};
use crate::{BoxFuture, Error, Message, Requeue, Settle};

/// A delivery in somebody's hands. It belongs to its channel: when that is gone, it is somebody else's.
pub(super) struct Unsettled {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: Arc<Channel>,
    pub(super) tag: u64,
    pub(super) queue: Arc<str>,
    pub(super) attempt: u32,
    /// Its headers, if some are no texts.
    pub(super) typed: Option<Box<FieldTable>>,
}

impl Unsettled {
    async fn acked(&self) -> Result<(), Error> {
        let acked = self.channel.basic_ack(self.tag, BasicAckOptions::default()).await;
        acked.map_err(|error| failure::of_settling(&error))
    }

    async fn back(&self) -> Result<(), Error> {
        let options = BasicNackOptions { multiple: false, requeue: true };
        self.channel.basic_nack(self.tag, options).await.map_err(|error| failure::of_settling(&error))
    }

    async fn rejected(&self) -> Result<(), Error> {
        let rejected = self.channel.basic_reject(self.tag, BasicRejectOptions { requeue: false }).await;
        rejected.map_err(|error| failure::of_settling(&error))
    }

    /// Sends it, in the place of this one, which then is gone. If it cannot be sent, this one comes back.
    async fn exchange(&self, message: Message, requeue: Requeue, deliveries: u32) -> Result<(), Error> {
        if !self.channel.status().connected() {
            return Err(Error::Stale);
        }
        let sent = self.send(message, requeue, deliveries).await;
        if let Err(error) = sent {
            let _ = self.back().await;
            return Err(error);
        }
        self.acked().await
    }

    async fn send(&self, message: Message, requeue: Requeue, deliveries: u32) -> Result<(), Error> {
        let until = Instant::now() + CALL_DEADLINE;
        let properties = convert::properties(&message, deliveries, self.typed.as_deref())?;
        let outgoing = [Outgoing { properties, body: message.body }];
        match requeue {
            Requeue::Now => self.shared.send(&self.queue, &outgoing, Unroutable::IsAnError, until).await,
            Requeue::After(wait) => {
                let rung = delay::rung(wait)?;
                self.shared.send_to_rung(&self.queue, rung, &outgoing, until).await
            }
        }
    }
}

impl Settle for Unsettled {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { self.acked().await })
    }

    fn nack(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            match requeue {
                Requeue::Now => self.back().await,
                // RabbitMQ would count anew after the wait, so the limit is kept here.
                Requeue::After(_) if self.attempt >= self.shared.max_deliveries(&self.queue) => self.rejected().await,
                Requeue::After(_) => self.exchange(message, requeue, self.attempt).await,
            }
        })
    }

    fn replace(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { self.exchange(message, requeue, 0).await })
    }

    fn reject(self: Box<Self>, _message: Message) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { self.rejected().await })
    }
}
