//! [`message_channel`] and [`MessagePort`]: two threads, each with one end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::port::queue::Queue;
use crate::port::{Closed, PostError};

/// Messages that may wait in one direction, unless said otherwise: as many as Node handles before it lets others have
/// their turn.
pub const DEFAULT_BOUND: usize = 1000;

/// A channel between two threads: what is posted to one port is received from the other.
///
/// At most [`DEFAULT_BOUND`] messages wait in each direction; see [`MessageChannel::bounded`].
///
/// ```
/// use phalanx_thread::message_channel;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (ours, theirs) = message_channel::<String, usize>();
/// let counting = std::thread::spawn(move || {
///     let text = theirs.recv_blocking(std::time::Duration::from_secs(5)).unwrap().unwrap();
///     theirs.try_post(text.len()).unwrap();
/// });
/// ours.post("how long?".to_owned()).await?;
/// assert_eq!(ours.recv().await, Some(9));
/// assert_eq!(ours.recv().await, None); // the other port was dropped
/// # counting.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn message_channel<A, B>() -> (MessagePort<A, B>, MessagePort<B, A>) {
    MessageChannel::bounded(DEFAULT_BOUND)
}

/// Makes channels; by Node's name. See [`message_channel`].
#[derive(Debug)]
pub enum MessageChannel {}

impl MessageChannel {
    /// The same as [`message_channel`].
    #[expect(clippy::new_ret_no_self, reason = "a channel is its two ports and nothing else")]
    pub fn new<A, B>() -> (MessagePort<A, B>, MessagePort<B, A>) {
        message_channel()
    }

    /// A channel in which at most `messages` wait in each direction (0 counts as 1).
    pub fn bounded<A, B>(messages: usize) -> (MessagePort<A, B>, MessagePort<B, A>) {
        let (there, back) = (Arc::new(Queue::new(messages)), Arc::new(Queue::new(messages)));
        let first = MessagePort { outgoing: Arc::clone(&there), incoming: Arc::clone(&back) };
        (first, MessagePort { outgoing: back, incoming: there })
    }
}

/// One end of a [`message_channel`]: posts `Out`, receives `In`.
///
/// A value that is posted is moved: a picture of a mebibyte costs what 8 bytes cost. Posting waits while the other side
/// has [`DEFAULT_BOUND`] messages unread, so nothing grows without a bound. All methods take `&self`: several tasks or
/// threads may use one port, and each message goes to one of them. Everything works in async code of any runtime; the
/// `_blocking` forms are for plain threads.
///
/// **The end.** [`close`](MessagePort::close), from either side, or the drop of a port: what was queued before is still
/// received, then both sides see the end, and what is posted afterwards comes back as [`PostError::Closed`].
///
/// A port may be posted through a port. Posted through its *own* channel it can never be received, and what the channel
/// holds is never freed.
pub struct MessagePort<Out, In> {
    outgoing: Arc<Queue<Out>>,
    incoming: Arc<Queue<In>>,
}

impl<Out, In> MessagePort<Out, In> {
    /// Posts a message; waits while the other side has too many unread. A post that is cancelled was not posted.
    ///
    /// Errors: [`PostError::Closed`] with the value.
    pub async fn post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.outgoing.post(value).await
    }

    /// Posts a message if there is room. Never waits.
    ///
    /// Errors: [`PostError::Full`] or [`PostError::Closed`] with the value.
    pub fn try_post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.outgoing.try_post(value)
    }

    /// Posts a message; blocks this thread for at most `deadline` while there is no room. Not for async code.
    ///
    /// Errors: [`PostError::Full`] after the deadline, [`PostError::Closed`], each with the value.
    pub fn post_blocking(&self, value: Out, deadline: Duration) -> Result<(), PostError<Out>> {
        self.outgoing.post_blocking(value, deadline)
    }

    /// Waits for the next message; `None` is the end. Cancelling it loses nothing.
    ///
    /// In a tokio runtime, other tasks of the thread have their turn after at most 128 messages, also if the port never
    /// runs empty.
    pub async fn recv(&self) -> Option<In> {
        self.incoming.recv().await
    }

    /// The next message, if one is there (`receiveMessageOnPort` in Node); `Ok(None)` if not. Never waits.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn try_recv(&self) -> Result<Option<In>, Closed> {
        self.incoming.try_recv()
    }

    /// Blocks this thread for at most `deadline` until a message is there; `Ok(None)` if none came. Not for async code.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<In>, Closed> {
        self.incoming.recv_blocking(deadline)
    }

    /// Closes the channel for both sides. What was queued can still be received, on both.
    pub fn close(&self) {
        self.outgoing.lane().close();
        self.incoming.lane().close();
    }

    /// Whether one of the two sides has closed it. Messages may still be there.
    pub fn is_closed(&self) -> bool {
        self.incoming.lane().is_closed()
    }

    /// Messages that wait here to be received.
    pub fn queued(&self) -> usize {
        self.incoming.lane().len()
    }

    /// Messages that were posted here and not yet received by the other side.
    pub fn unread(&self) -> usize {
        self.outgoing.lane().len()
    }
}

impl<Out, In> Drop for MessagePort<Out, In> {
    fn drop(&mut self) {
        self.outgoing.lane().close();
        drop(self.incoming.lane().close_and_take());
    }
}

impl<Out, In> fmt::Debug for MessagePort<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagePort")
            .field("queued", &self.queued())
            .field("unread", &self.unread())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
