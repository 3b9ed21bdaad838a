//! [`Conversation`]: what happens to a forked child and what it says, in one order.

use phalanx_channel::{Message, Receiver, TryRecv};
use serde::de::DeserializeOwned;

use crate::{Child, Error, Event, Events, ExitStatus};

impl Child {
    /// What happens to a forked child, and what it says: `Spawned`, `Message`…, `Disconnected`, `Exited`, `Closed`.
    ///
    /// `Exited` comes after every message that the child sent before its end. `Disconnected` comes before it, unless another
    /// process holds the child's end of the channel too.
    pub fn conversation<In>(&self, receiver: Receiver<In>) -> Conversation<In> {
        Conversation { events: self.events(), receiver, connected: true, ended: None }
    }
}

/// What happens to a forked child and what it says. Nothing is queued here: what is not asked for waits in the channel, and
/// its sender with it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use phalanx_process::{Event, fork};
///
/// let (child, channel) = fork::<String, String>("worker").await?;
/// let (sender, receiver) = channel.split();
/// sender.send(&"begin".to_owned()).await?;
/// let mut conversation = child.conversation(receiver);
/// while let Some(event) = conversation.next().await? {
///     match event {
///         Event::Message(message) => println!("it says {}", message.value),
///         Event::Exited(status) => println!("it ended with {status}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Conversation<In> {
    events: Events,
    receiver: Receiver<In>,
    connected: bool,
    /// How it ended, while what it said before is still being told.
    ended: Option<ExitStatus>,
}

impl<In: DeserializeOwned> Conversation<In> {
    /// The next event; `None` after [`Event::Closed`]. Nothing is lost if the call is dropped.
    ///
    /// Errors: a message that does not decode is one; ask again for what comes next.
    pub async fn next(&mut self) -> Result<Option<Event<Message<In>>>, Error> {
        loop {
            if !self.connected {
                return match self.ended.take() {
                    Some(status) => Ok(Some(Event::Exited(status))),
                    None => Ok(self.events.next().await?.map(without_message)),
                };
            }
            if let Some(status) = self.ended {
                return match self.receiver.try_recv().map_err(Error::Channel)? {
                    TryRecv::Message(message) => Ok(Some(Event::Message(message))),
                    TryRecv::Closed => Ok(self.disconnected()),
                    // Somebody else holds its end, but what it said itself was told.
                    TryRecv::Nothing => {
                        self.ended = None;
                        Ok(Some(Event::Exited(status)))
                    }
                };
            }
            if self.events.nothing_was_told() {
                return Ok(self.events.next().await?.map(without_message));
            }
            tokio::select! {
                biased;
                message = self.receiver.recv() => {
                    return Ok(match message.map_err(Error::Channel)? {
                        Some(message) => Some(Event::Message(message)),
                        None => self.disconnected(),
                    });
                }
                event = self.events.next() => match event? {
                    Some(Event::Exited(status)) => self.ended = Some(status),
                    other => return Ok(other.map(without_message)),
                },
            }
        }
    }

    fn disconnected(&mut self) -> Option<Event<Message<In>>> {
        self.connected = false;
        Some(Event::Disconnected)
    }
}

/// Events of a child without a channel hold no messages.
fn without_message<M>(event: Event) -> Event<M> {
    match event {
        Event::Spawned { pid } => Event::Spawned { pid },
        Event::Message(none) => match none {},
        Event::Disconnected => Event::Disconnected,
        Event::Exited(status) => Event::Exited(status),
        Event::Closed(status) => Event::Closed(status),
    }
}
