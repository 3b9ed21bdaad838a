//! [`BroadcastChannel`]: what one says, all others of the same name hear.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::port::channel::DEFAULT_BOUND;
use crate::port::queue::Queue;
use crate::port::registry::{self, Hub, OtherType, Parcel};

/// One of any number of channels with the same name, in any threads of this process: what is posted to one is received
/// by all others, and not by itself.
///
/// Each receiver has a queue of its own for at most [`DEFAULT_BOUND`] messages
/// ([`with_bound`](BroadcastChannel::with_bound)). **A slow receiver never holds up the others**: when its queue is
/// full, its oldest message is dropped, and its next receive says how many it missed ([`BroadcastError::Lagged`]); then
/// it goes on with the oldest message it has. Who joins later does not hear what was said before. Messages of one
/// sender keep their order.
///
/// ```
/// use phalanx_thread::BroadcastChannel;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let speaker = BroadcastChannel::<String>::new("cache")?;
/// let listener = BroadcastChannel::<String>::new("cache")?; // usually in another thread
/// assert_eq!(speaker.post("stale".to_owned())?, 1);
/// assert_eq!(listener.recv().await?, "stale");
/// assert_eq!(speaker.try_recv()?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BroadcastChannel<T: Clone + Send + 'static> {
    name: String,
    hub: Arc<Hub<T>>,
    inbox: Arc<Queue<Parcel<T>>>,
}

/// What a [`BroadcastChannel`] cannot do, or has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcastError {
    /// There are channels of this name for values of another type.
    OtherType {
        /// The name.
        name: String,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// This channel was closed, and everything that it had got has been received.
    Closed,
    /// So many messages were dropped because this channel read too slowly. The next receive goes on behind the gap.
    Lagged(u64),
}

impl fmt::Display for BroadcastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BroadcastError::OtherType { name, wanted } => write!(
                f,
                "cannot join the broadcast channel {name:?} for values of type {wanted}: its members use another type; \
                 choose another name or the same type"
            ),
            BroadcastError::Closed => {
                f.write_str("the broadcast channel was closed on this side; make a new one to join again")
            }
            BroadcastError::Lagged(missed) => write!(
                f,
                "{missed} messages of the broadcast channel were dropped because this side read too slowly; receive \
                 again for the next one"
            ),
        }
    }
}

impl std::error::Error for BroadcastError {}

impl<T: Clone + Send + 'static> BroadcastChannel<T> {
    /// Joins all channels of this name in the process, with room for [`DEFAULT_BOUND`] unread messages.
    ///
    /// Errors: [`BroadcastError::OtherType`].
    pub fn new(name: impl Into<String>) -> Result<BroadcastChannel<T>, BroadcastError> {
        BroadcastChannel::with_bound(name, DEFAULT_BOUND)
    }

    /// As [`new`](BroadcastChannel::new), with room for so many unread messages on this side (0 counts as 1).
    pub fn with_bound(name: impl Into<String>, messages: usize) -> Result<BroadcastChannel<T>, BroadcastError> {
        let name = name.into();
        let inbox = Arc::new(Queue::new(messages));
        match registry::join(&name, &inbox) {
            Ok(hub) => Ok(BroadcastChannel { name, hub, inbox }),
            Err(OtherType) => Err(BroadcastError::OtherType { name, wanted: std::any::type_name::<T>() }),
        }
    }

    /// The name under which it joined.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives a clone to each other channel of this name, and says how many there were. Never waits.
    ///
    /// Errors: [`BroadcastError::Closed`] after [`close`](BroadcastChannel::close).
    pub fn post(&self, value: T) -> Result<usize, BroadcastError> {
        if self.inbox.lane().is_closed() {
            return Err(BroadcastError::Closed);
        }
        let members = self.hub.members();
        let mut reached = 0;
        for member in members.iter().filter(|member| !Arc::ptr_eq(member, &self.inbox)) {
            let parcel = Parcel { value: value.clone(), missed: 0 };
            let pushed = member.lane().push_over(parcel, |dropped, next| next.missed += dropped.missed + 1);
            reached += usize::from(pushed.is_ok());
        }
        Ok(reached)
    }

    /// Waits for the next message. Cancelling it loses nothing.
    ///
    /// Errors: [`BroadcastError::Lagged`] in place of what was missed; [`BroadcastError::Closed`] is the end.
    pub async fn recv(&self) -> Result<T, BroadcastError> {
        self.inbox.take(unpack).await.unwrap_or(Err(BroadcastError::Closed))
    }

    /// The next message, if one is there; `Ok(None)` if not. Never waits. Errors as [`recv`](BroadcastChannel::recv).
    pub fn try_recv(&self) -> Result<Option<T>, BroadcastError> {
        self.inbox.try_take(unpack).map_err(|_| BroadcastError::Closed)?.transpose()
    }

    /// Blocks this thread for at most `deadline` until a message is there; `Ok(None)` if none came. Errors as
    /// [`recv`](BroadcastChannel::recv).
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<T>, BroadcastError> {
        self.inbox.take_blocking(unpack, deadline).map_err(|_| BroadcastError::Closed)?.transpose()
    }

    /// Leaves the others. What it had got can still be received. Also when it is dropped.
    pub fn close(&self) {
        registry::leave(&self.name, &self.hub, &self.inbox);
        self.inbox.lane().close();
    }

    /// Messages that wait here to be received.
    pub fn queued(&self) -> usize {
        self.inbox.lane().len()
    }
}

/// First what was missed before a message, then the message.
fn unpack<T>(queue: &mut VecDeque<Parcel<T>>) -> Option<Result<T, BroadcastError>> {
    match std::mem::take(&mut queue.front_mut()?.missed) {
        0 => queue.pop_front().map(|parcel| Ok(parcel.value)),
        missed => Some(Err(BroadcastError::Lagged(missed))),
    }
}

impl<T: Clone + Send + 'static> Drop for BroadcastChannel<T> {
    fn drop(&mut self) {
        self.close();
        drop(self.inbox.lane().close_and_take());
    }
}

impl<T: Clone + Send + 'static> fmt::Debug for BroadcastChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastChannel")
            .field("name", &self.name)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_again_when_its_last_channel_closes() {
        let name = "a name that is given back";
        let first = BroadcastChannel::<u8>::new(name).unwrap();
        let second = BroadcastChannel::<u8>::new(name).unwrap();
        first.close();
        first.close();
        drop(first);
        assert!(registry::is_in_use(name));
        drop(second);
        assert!(!registry::is_in_use(name));
        BroadcastChannel::<String>::new(name).unwrap();
    }
}
