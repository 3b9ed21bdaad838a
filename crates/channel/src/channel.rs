//! [`Channel`], [`Sender`], [`Receiver`]: what a program holds of one end.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame::{Header, Kind};
use crate::incoming::{Answer, Arrived, Step};
use crate::message::{Attachments, Message, Ticket};
use crate::wire::Wire;
use crate::{Error, Options};

/// One end of a connection between two processes: sends `Out`, receives `In`.
///
/// Cheap to clone; all clones are the same end, and any number of tasks may use it at once. The end is closed when the last
/// clone is dropped, or by [`close`](Channel::close), which also sees to what is still to be sent.
///
/// ```
/// use phalanx_channel::End;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (ours, theirs) = End::<String, usize>::pair()?; // `theirs` usually goes to a child
/// let (parent, child) = (ours.open()?, theirs.open()?);
///
/// let answering = tokio::spawn(async move {
///     while let Some(message) = child.recv().await? {
///         if let Some(ticket) = message.ticket {
///             child.reply(ticket, &message.value.len()).await?;
///         }
///     }
///     Ok::<(), phalanx_channel::Error>(())
/// });
/// let answer = parent.request(&"how long?".to_owned(), Duration::from_secs(5)).await?;
/// assert_eq!(answer.value, 9);
/// parent.close(Duration::from_secs(5)).await?;
/// answering.await??;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Channel<Out, In> {
    sender: Sender<Out>,
    receiver: Receiver<In>,
}

/// The sending half of a channel.
pub struct Sender<Out> {
    wire: Arc<Wire>,
    types: PhantomData<fn(Out)>,
}

/// The receiving half of a channel.
pub struct Receiver<In> {
    wire: Arc<Wire>,
    types: PhantomData<fn() -> In>,
}

impl<Out, In> Channel<Out, In> {
    pub(crate) fn over(socket: OwnedFd, options: Options) -> Result<Channel<Out, In>, Error> {
        let wire = Arc::new(Wire::over(socket, options)?);
        let sender = Sender { wire: Arc::clone(&wire), types: PhantomData };
        Ok(Channel { sender, receiver: Receiver { wire, types: PhantomData } })
    }

    /// The two halves. They are still one end: it is closed when both (and all clones) are gone.
    pub fn split(self) -> (Sender<Out>, Receiver<In>) {
        (self.sender, self.receiver)
    }

    /// Sends what was not sent yet, for at most `deadline`, and tells the peer that nothing more will come. What the
    /// peer sends can still be received by other clones.
    ///
    /// Errors: [`Error::Stalled`] if the peer did not read in time (what the kernel has, it will still read),
    /// [`Error::Closed`] if it was gone with something left to send.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        self.sender.close(deadline).await
    }
}

impl<Out: Serialize, In> Channel<Out, In> {
    /// See [`Sender::send`].
    pub async fn send(&self, value: &Out) -> Result<(), Error> {
        self.sender.send(value).await
    }

    /// See [`Sender::send_with`].
    pub async fn send_with(&self, value: &Out, beside: Attachments<'_>) -> Result<(), Error> {
        self.sender.send_with(value, beside).await
    }

    /// See [`Sender::try_send`].
    pub fn try_send(&self, value: &Out) -> Result<(), Error> {
        self.sender.try_send(value)
    }

    /// See [`Sender::feed`].
    pub async fn feed(&self, value: &Out) -> Result<(), Error> {
        self.sender.feed(value).await
    }

    /// See [`Sender::flush`].
    pub async fn flush(&self) -> Result<(), Error> {
        self.sender.flush().await
    }

    /// See [`Sender::send_acked`].
    pub async fn send_acked(&self, value: &Out, deadline: Duration) -> Result<(), Error> {
        self.sender.send_acked(value, deadline).await
    }

    /// Answers a request: the [`ticket`](Message::ticket) came with it.
    ///
    /// Errors: [`Error::ForeignTicket`] if it came over another channel.
    pub async fn reply(&self, ticket: Ticket, value: &Out) -> Result<(), Error> {
        self.reply_with(ticket, value, Attachments::none()).await
    }

    /// Answers a request with bytes or descriptors beside the value.
    pub async fn reply_with(&self, ticket: Ticket, value: &Out, beside: Attachments<'_>) -> Result<(), Error> {
        let wire = &self.sender.wire;
        if !ticket.is_of(wire) {
            return Err(Error::ForeignTicket);
        }
        // Only an answer that was sent uses the ticket up: on an error its drop tells the peer.
        wire.send(Header::bare(Kind::Reply, ticket.id()), value, beside).await?;
        ticket.redeem();
        Ok(())
    }
}

impl<Out: Serialize, In: DeserializeOwned> Channel<Out, In> {
    /// Sends a message and waits for the answer to it, for at most `deadline` in all.
    ///
    /// Many requests may be under way at once; answers come in any order. Other messages that come meanwhile are kept
    /// for [`recv`](Channel::recv), up to 1 024 or 16 MiB of them: then somebody must receive before anything more is
    /// read.
    ///
    /// Errors: [`Error::NoAnswer`] after the deadline, [`Error::Unanswered`] if the peer dropped the request,
    /// [`Error::Closed`] if it is gone.
    pub async fn request(&self, value: &Out, deadline: Duration) -> Result<Message<In>, Error> {
        self.request_with(value, Attachments::none(), deadline).await
    }

    /// As [`request`](Channel::request), with bytes or descriptors beside the value.
    pub async fn request_with(
        &self,
        value: &Out,
        beside: Attachments<'_>,
        deadline: Duration,
    ) -> Result<Message<In>, Error> {
        match self.sender.wire.ask(Kind::Request, value, beside, deadline).await? {
            Answer::Reply(parcel) => parcel.open(|arrived| self.receiver.read(arrived)),
            Answer::Unanswered => Err(Error::Unanswered),
            Answer::Ack => Err(Error::Malformed("a request was confirmed instead of answered".into())),
        }
    }
}

impl<Out, In: DeserializeOwned> Channel<Out, In> {
    /// See [`Receiver::recv`].
    pub async fn recv(&self) -> Result<Option<Message<In>>, Error> {
        self.receiver.recv().await
    }

    /// See [`Receiver::try_recv`].
    pub fn try_recv(&self) -> Result<TryRecv<In>, Error> {
        self.receiver.try_recv()
    }
}

impl<Out> Sender<Out> {
    /// See [`Channel::close`].
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        self.wire.close(deadline).await
    }
}

impl<Out: Serialize> Sender<Out> {
    /// Sends one message. When this returns, the kernel has it: if we die now, the peer still gets it.
    ///
    /// Waits while the peer does not read, at most for [`Options::send_deadline`]. A send that is cancelled is sent
    /// later, whole, or not at all.
    pub async fn send(&self, value: &Out) -> Result<(), Error> {
        self.send_with(value, Attachments::none()).await
    }

    /// Sends one message with bytes or descriptors beside the value.
    pub async fn send_with(&self, value: &Out, beside: Attachments<'_>) -> Result<(), Error> {
        self.wire.send(Header::bare(Kind::Message, 0), value, beside).await
    }

    /// Sends one message if the kernel takes it at once; else [`Error::Full`], and nothing was sent.
    ///
    /// Of a message larger than the kernel's buffer the rest goes with whatever is sent or received next.
    pub fn try_send(&self, value: &Out) -> Result<(), Error> {
        self.wire.try_send(value)
    }

    /// Appends one message to a batch, which is sent when it has 64 KiB, with the next message, by
    /// [`flush`](Sender::flush), or when this end waits for a message. A system call per message is what limits small
    /// messages, so a flood is several times faster this way.
    pub async fn feed(&self, value: &Out) -> Result<(), Error> {
        self.wire.feed(value).await
    }

    /// Sends what was fed. When this returns, the kernel has it.
    pub async fn flush(&self) -> Result<(), Error> {
        self.wire.flush().await
    }

    /// Sends one message and waits until the peer's *program* has received it, for at most `deadline` in all.
    ///
    /// Errors: [`Error::NoAnswer`] after the deadline, [`Error::Closed`] if the peer is gone: it may or may not have
    /// received the message.
    pub async fn send_acked(&self, value: &Out, deadline: Duration) -> Result<(), Error> {
        match self.wire.ask(Kind::Acked, value, Attachments::none(), deadline).await? {
            Answer::Ack => Ok(()),
            _ => Err(Error::Malformed("a message was answered instead of confirmed".into())),
        }
    }
}

/// What [`Receiver::try_recv`] found.
#[derive(Debug)]
pub enum TryRecv<In> {
    /// A message.
    Message(Message<In>),
    /// Nothing is there now.
    Nothing,
    /// The peer is gone, and everything that it sent was received.
    Closed,
}

impl<In: DeserializeOwned> Receiver<In> {
    /// Waits for the next message. `None` is the end: the peer closed its end or died, and everything that it sent
    /// was received.
    ///
    /// Errors: [`Error::Malformed`] for a value that is no `In` (receive again for the next message), and whatever
    /// breaks the channel; after such an error comes the end. Cancelling it loses nothing.
    pub async fn recv(&self) -> Result<Option<Message<In>>, Error> {
        // A flood must not keep the other tasks of this thread waiting. Before, not after: a cancelled wait loses nothing.
        tokio::task::coop::consume_budget().await;
        self.wire.arrival(|arrived| self.read(arrived)).await?.transpose()
    }

    /// Takes the next message, if one is there. Never waits.
    pub fn try_recv(&self) -> Result<TryRecv<In>, Error> {
        Ok(match self.wire.try_arrival(|arrived| self.read(arrived))? {
            Step::Arrived(message) => TryRecv::Message(message?),
            Step::Empty => TryRecv::Nothing,
            Step::Ended => TryRecv::Closed,
        })
    }

    fn read(&self, arrived: Arrived<'_>) -> Result<Message<In>, Error> {
        let Arrived { header, assembled, inline, descriptors } = arrived;
        let ticket = (header.kind == Kind::Request).then(|| Ticket::new(header.id, Arc::downgrade(&self.wire)));
        let (value, payload) = decode(header, assembled, inline)?;
        if header.kind == Kind::Acked {
            self.wire.acknowledge(header.id);
        }
        Ok(Message { value, payload, descriptors, ticket })
    }
}

/// Value and payload of a content. The first `header.payload` bytes are the payload.
fn decode<In: DeserializeOwned>(header: Header, assembled: Vec<u8>, inline: &[u8]) -> Result<(In, Vec<u8>), Error> {
    let payload_bytes = header.payload as usize;
    let malformed = |why: postcard::Error| Error::Malformed(why.to_string());
    // The two shapes that our own end sends: everything inline, or the payload, and nothing else, assembled.
    let (payload, value) = if assembled.is_empty() {
        let (payload, value) = inline.split_at_checked(payload_bytes).ok_or_else(short)?;
        (payload.to_vec(), value)
    } else if assembled.len() == payload_bytes {
        (assembled, inline)
    } else {
        return Err(short());
    };
    let (value, rest) = postcard::take_from_bytes(value).map_err(malformed)?;
    match rest.len() {
        0 => Ok((value, payload)),
        left => Err(Error::Malformed(format!("{left} bytes are left over behind the value"))),
    }
}

fn short() -> Error {
    Error::Malformed("the payload is not as long as announced".into())
}

macro_rules! handles {
    ($($handle:ident<$($type:ident),*> { $($field:ident),* })*) => {$(
        impl<$($type),*> Clone for $handle<$($type),*> {
            fn clone(&self) -> Self {
                $handle { $($field: self.$field.clone()),* }
            }
        }

        impl<$($type),*> fmt::Debug for $handle<$($type),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($handle)).finish_non_exhaustive()
            }
        }
    )*};
}
handles! {
    Channel<Out, In> { sender, receiver }
    Sender<Out> { wire, types }
    Receiver<In> { wire, types }
}
