//! [`Publishers`]: messages out, and their confirms.
//!
//! ```text
//!   gate (a mutex): register, push frames │ register, push frames │ …     in one order for lapin and RabbitMQ
//!   then: await "written" of all, await confirms of all                   two wake-ups for a batch, not two for each
//! ```
//!
//! A channel for each queue: RabbitMQ returns what cannot be routed before it confirms, and lapin hands a returned message to
//! whichever confirm comes next. On a channel of one queue it does not matter to which.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::link::{Link, Live};
use super::{NAME, failure};
use crate::Error;
use crate::io::within;

/// Messages of one queue that may wait for their confirms: what is written and not confirmed is kept in memory here and there.
const MOST_UNCONFIRMED: usize = 8192;
/// Messages that are written at once.
pub(super) const WINDOW: usize = 1024;
/// Bytes that are written at once; at least one message.
pub(super) const WINDOW_BYTES: usize = 4 << 20;
/// Channels that are kept open. RabbitMQ allows 2047 in a connection.
const MOST_PUBLISHERS: usize = 256;

const OK: u16 = 200;

/// A message, ready to be sent.
pub(super) struct Outgoing {
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// What to do with a message that no queue takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unroutable {
    /// The sender is told: [`Error::NoSuchQueue`].
    IsAnError,
    /// It is gone.
    IsDropped,
}

/// Why a window of messages is not known to be safe.
pub(super) enum Trouble {
    /// Nothing was written: trying again is harmless.
    NotBegun,
    /// It may have been taken, or not; or it was refused.
    Failed(Error),
}

/// The publishers of one life of a connection.
#[derive(Default)]
pub(super) struct Publishers {
    open: RwLock<HashMap<String, Arc<Publisher>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Publishers {
    /// The one of this queue. Must end by `until`.
    pub(super) async fn of(
        &self,
        live: &Live,
        link: &Link,
        queue: &str,
        until: Instant,
    ) -> Result<Arc<Publisher>, Error> {
        if let Some(publisher) = self.known(queue) {
            return Ok(publisher);
        }
        let open = async {
            let _one_at_a_time = self.opening.lock().await;
            if let Some(publisher) = self.known(queue) {
                return Ok(publisher);
            }
            let channel = live.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let publisher = Arc::new(Publisher::new(channel));
            let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
            if open.len() >= MOST_PUBLISHERS {
                open.retain(|_, publisher| Arc::strong_count(publisher) > 1 && publisher.is_up());
            }
            open.insert(queue.to_owned(), publisher.clone());
            Ok::<_, lapin::Error>(publisher)
        };
        let left = until.saturating_duration_since(Instant::now());
        match within(link.io().handle(), left, open).await {
            Ok(result) => result.map_err(|error| failure::of_connection(&error)),
            Err(_) => Err(Error::unavailable(NAME, "it did not open a channel in time")),
        }
    }

    fn known(&self, queue: &str) -> Option<Arc<Publisher>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(queue).filter(|publisher| publisher.is_up()).cloned()
    }
}

/// A channel with confirms, for one queue.
pub(super) struct Publisher {
    channel: Channel,
    /// Between registering a confirm and pushing its frames nobody else may come.
    gate: Mutex<()>,
    room: Arc<Semaphore>,
    /// It kept somebody waiting for too long.
    is_retired: AtomicBool,
}

type Written<'a> = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send + 'a>>;

impl Publisher {
    fn new(channel: Channel) -> Publisher {
        let room = Arc::new(Semaphore::new(MOST_UNCONFIRMED));
        Publisher { channel, gate: Mutex::new(()), room, is_retired: AtomicBool::new(false) }
    }

    fn is_up(&self) -> bool {
        self.channel.status().connected() && !self.is_retired.load(Ordering::Relaxed)
    }

    /// It is not used any more.
    fn retire(&self, thread: &Handle) {
        if !self.is_retired.swap(true, Ordering::Relaxed) {
            let channel = self.channel.clone();
            thread.spawn(async move {
                let _ = channel.close(OK, "OK".into()).await;
            });
        }
    }

    /// Sends these to the queue, and waits until all are safe. At most [`WINDOW`].
    pub(super) async fn publish(
        &self,
        queue: &str,
        messages: &[Outgoing],
        unroutable: Unroutable,
        thread: &Handle,
        until: Instant,
    ) -> Result<(), Trouble> {
        let left = || until.saturating_duration_since(Instant::now());
        let many = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let room = match within(thread, left(), self.room.clone().acquire_many_owned(many)).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(Trouble::NotBegun),
            Err(_) => return Err(Trouble::Failed(late("earlier messages were not confirmed in time"))),
        };
        let written = self.write(queue, messages, unroutable)?;
        let mut unfinished = Unfinished { channel: Some(&self.channel), room: Some(room), thread };
        let confirmed = confirmations(written, queue);
        let Ok(result) = within(thread, left(), confirmed).await else {
            // The next message shall not wait behind whatever keeps this channel.
            self.retire(thread);
            return Err(Trouble::Failed(late("it did not confirm in time")));
        };
        unfinished.channel = None;
        result.map_err(Trouble::Failed)
    }

    /// Gives all of them to lapin, in order.
    fn write<'a>(
        &'a self,
        queue: &str,
        messages: &'a [Outgoing],
        unroutable: Unroutable,
    ) -> Result<Vec<Written<'a>>, Trouble> {
        let mandatory = unroutable == Unroutable::IsAnError;
        let options = BasicPublishOptions { mandatory, immediate: false };
        // Woken by whoever awaits it later.
        let mut nobody = Context::from_waker(Waker::noop());
        let mut all: Vec<Written<'a>> = Vec::with_capacity(messages.len());
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        for Outgoing { properties, body } in messages {
            let publish = self.channel.basic_publish("".into(), queue.into(), options, body, properties.clone());
            let mut publish: Written<'a> = Box::pin(publish);
            // Its first step, up to the frames.
            match publish.as_mut().poll(&mut nobody) {
                Poll::Pending => all.push(publish),
                Poll::Ready(Ok(confirm)) => all.push(Box::pin(async { Ok(confirm) })),
                Poll::Ready(Err(_)) if all.is_empty() => return Err(Trouble::NotBegun),
                Poll::Ready(Err(error)) => all.push(Box::pin(async { Err(error) })),
            }
        }
        Ok(all)
    }
}

/// Waits for all; the first trouble, in this order: no such queue, no room, any other.
async fn confirmations(written: Vec<Written<'_>>, queue: &str) -> Result<(), Error> {
    let mut confirms = Vec::with_capacity(written.len());
    let mut worst: Option<Error> = None;
    let mut tell = |error: Error| {
        let rank = |error: &Error| match error {
            Error::NoSuchQueue { .. } => 0,
            Error::Full { .. } => 1,
            _ => 2,
        };
        if worst.as_ref().is_none_or(|worst| rank(&error) < rank(worst)) {
            worst = Some(error);
        }
    };
    for written in written {
        match written.await {
            Ok(confirm) => confirms.push(confirm),
            Err(error) => tell(failure::of_queue(&error, queue)),
        }
    }
    for confirm in confirms {
        match confirm.await {
            Ok(Confirmation::Ack(None)) => {}
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => {
                tell(Error::NoSuchQueue { queue: queue.to_owned() });
            }
            // How full it is, whoever is told so finds out.
            Ok(Confirmation::Nack(None)) => {
                tell(Error::Full { queue: queue.to_owned(), waiting: 0, limit: 0, retry_after: None });
            }
            Ok(Confirmation::NotRequested) => tell(late("it does not confirm")),
            Err(error) => tell(failure::of_queue(&error, queue)),
        }
    }
    worst.map_or(Ok(()), Err)
}

fn late(reason: &str) -> Error {
    Error::unavailable(NAME, reason)
}

/// Confirms that nobody waits for any more (the caller went away) are waited for on the thread of the handle: until then their
/// room is taken, and lapin keeps them.
struct Unfinished<'a> {
    channel: Option<&'a Channel>,
    room: Option<OwnedSemaphorePermit>,
    thread: &'a Handle,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let (Some(channel), room) = (self.channel, self.room.take()) else { return };
        let channel = channel.clone();
        self.thread.spawn(async move {
            // An error: the channel is gone, and all that waited on it.
            let _ = channel.wait_for_confirms().await;
            drop(room);
        });
    }
}
