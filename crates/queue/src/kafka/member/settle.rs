//! The ways back of a delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::partition::Alive;
use super::{Event, LONGEST_STAY, Link, Place};
use crate::kafka::record::Carried;
use crate::kafka::topics::Rung;
use crate::{BoxFuture, Error, Message, Requeue, Settle, UnixMillis};

/// Said in the headers of a dead letter.
pub(super) const DEATH_QUEUE: &str = "phalanx-death-queue";
/// As above.
pub(super) const DEATH_REASON: &str = "phalanx-death-reason";

/// One delivery in somebody's hands.
pub(super) struct Hands {
    pub(super) link: Arc<Link>,
    pub(super) place: Place,
    pub(super) alive: Alive,
    /// How often it was begun, this time included.
    pub(super) begun: u32,
}

impl Hands {
    /// The thread is told, and says when that is on record.
    async fn tell(link: &Link, event: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Event) -> Result<(), Error> {
        let (done, told) = oneshot::channel();
        // A thread that has ended has left the group: the message comes again, to somebody else.
        link.inbox.send(event(done)).map_err(|_| Error::Stale)?;
        told.await.map_err(|_| Error::Stale)?
    }

    async fn settle(self) -> Result<(), Error> {
        let Hands { link, place, alive, .. } = self;
        Hands::tell(&link, |done| Event::Settled { place, alive, done }).await
    }

    /// Puts a message where it comes again from after this wait, or at once.
    async fn put(&self, message: &Message, attempts: u32, wait: Duration) -> Result<(), Error> {
        let due = (!wait.is_zero()).then(|| UnixMillis::now().after(wait));
        let rung = if wait > LONGEST_STAY { Rung::within(wait) } else { None };
        let queue = &self.link.queue;
        let topic = rung.map_or_else(|| queue.as_str().to_owned(), |rung| rung.topic(queue));
        self.link.shared.put(&topic, message, Carried { due, attempts }).await
    }

    fn check(&self) -> Result<(), Error> {
        if self.alive.is_lost() { Err(Error::Stale) } else { Ok(()) }
    }
}

impl Settle for Hands {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(self.settle())
    }

    fn nack(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.check()?;
            let wait = wait(requeue);
            if wait > LONGEST_STAY || !self.link.has_room() {
                self.put(&message, self.begun, wait).await?;
                return self.settle().await;
            }
            let Hands { link, place, alive, begun } = *self;
            let message = Box::new(message);
            Hands::tell(&link, |done| Event::Again { place, alive, message, begun, wait, done }).await
        })
    }

    fn replace(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.check()?;
            self.put(&message, 0, wait(requeue)).await?;
            self.settle().await
        })
    }

    fn reject(self: Box<Self>, message: Message) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.check()?;
            if let Some(topic) = &self.link.declared.dead_letter {
                let letter = dead_letter(&self.link, message, "rejected");
                self.link.shared.put(topic.as_str(), &letter, Carried::default()).await?;
            }
            self.settle().await
        })
    }
}

/// The message as it goes to a dead-letter topic.
pub(super) fn dead_letter(link: &Link, message: Message, reason: &str) -> Message {
    message.header(DEATH_QUEUE, link.queue.as_str()).header(DEATH_REASON, reason)
}

fn wait(requeue: Requeue) -> Duration {
    match requeue {
        Requeue::Now => Duration::ZERO,
        Requeue::After(wait) => wait,
    }
}
