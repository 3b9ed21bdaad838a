//! [`NodeChannel`]: one end of a connection with Node.

use std::any::Any;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::connection::{Connection, check};
use super::error::system;
use super::outgoing::Piece;
use super::reading::{Content, Item};
use super::{Error, Fate, Form, Handle, Options, Parcel, Serialization, Value, advanced, internal, json};

/// One end of a connection with Node: what `process.send` and `process.on('message')` are in JavaScript. All methods take
/// `&self`; clones are the same end.
///
/// `Out` and `In` are what is sent and received: types of yours, or [`Value`] for anything. Strings, numbers, booleans and
/// `null` are messages as well as objects and arrays.
///
/// When the last clone is dropped, what is queued is still written in the background, for at most the send deadline;
/// [`close`](NodeChannel::close) says whether that worked.
pub struct NodeChannel<Out = Value, In = Value> {
    owner: Arc<Owner>,
    types: PhantomData<fn(Out) -> In>,
}

/// A message that was received.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming<In = Value> {
    /// What `process.send` was given.
    pub value: In,
    /// The handle that came with it. Dropped, it is closed.
    pub handle: Option<Handle>,
}

/// Ends the tasks when the last clone is dropped.
struct Owner {
    connection: Arc<Connection>,
    reader: AbortHandle,
    inbox: Mutex<mpsc::UnboundedReceiver<Result<Item, Error>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.reader.abort();
        self.connection.outgoing.abandon();
    }
}

impl<Out, In> NodeChannel<Out, In> {
    /// Begins to use one end of a Unix stream socket, with the default [`Options`]. Call it inside a tokio runtime with I/O
    /// and time.
    ///
    /// Errors: no runtime, or the descriptor is something else.
    pub fn open(socket: OwnedFd, serialization: Serialization) -> Result<NodeChannel<Out, In>, Error> {
        NodeChannel::open_with(socket, serialization, Options::default())
    }

    /// As [`open`](NodeChannel::open), with options.
    pub fn open_with(
        socket: OwnedFd,
        serialization: Serialization,
        options: Options,
    ) -> Result<NodeChannel<Out, In>, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|why| system("open the channel to Node", io::Error::other(why)))?;
        let connection = Arc::new(Connection::new(socket, serialization, options)?);
        let (deliver, inbox) = mpsc::unbounded_channel();
        let reader = runtime.spawn(Arc::clone(&connection).read_all(deliver)).abort_handle();
        runtime.spawn(Arc::clone(&connection).write_all());
        let owner = Owner { connection, reader, inbox: Mutex::new(inbox) };
        Ok(NodeChannel { owner: Arc::new(owner), types: PhantomData })
    }

    /// The serialization of this end.
    pub fn serialization(&self) -> Serialization {
        self.owner.connection.serialization
    }

    /// Waits until everything that was sent is with the kernel and each handle is confirmed, then closes this end, clones
    /// included. The peer's `'disconnect'` comes after all messages.
    ///
    /// Errors: [`Error::Stalled`] if the deadline came first, [`Error::Closed`] if the peer went without taking everything.
    /// This end is closed all the same.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        let connection = &self.owner.connection;
        let flushed = timeout(deadline, connection.outgoing.drained()).await;
        connection.shut_down();
        flushed.unwrap_or(Err(Error::Stalled { waited: deadline }))
    }
}

impl<Out: Serialize + 'static, In> NodeChannel<Out, In> {
    /// Sends a message and returns when the kernel has it: from then on it survives the end of this process.
    ///
    /// A send that is dropped while it waits may still happen.
    ///
    /// Errors: [`Error::Stalled`] if the peer does not read for as long as the send deadline (what was begun may still
    /// arrive), [`Error::Closed`], or the value cannot be sent: [`Error::Encode`], [`Error::TooLarge`], [`Error::TooDeep`],
    /// [`Error::Reserved`].
    pub async fn send(&self, message: &Out) -> Result<(), Error> {
        let bytes = self.owner.connection.encode(message)?;
        self.owner.connection.send(bytes, None).await
    }

    /// Sends a message without waiting. It is with the kernel, or in the queue.
    ///
    /// Errors: as [`send`](NodeChannel::send), but [`Error::Full`] instead of waiting.
    pub fn try_send(&self, message: &Out) -> Result<(), Error> {
        let connection = &self.owner.connection;
        let bytes = connection.encode(message)?;
        let room = connection.outgoing.room_now(bytes.len())?;
        connection.outgoing.push_quietly(connection.socket.as_fd(), Piece::new(bytes, None, Some(room)));
        Ok(())
    }

    /// Sends a message with a handle and returns when the peer has confirmed that both have arrived. Until then all other
    /// messages wait, as they do in Node.
    ///
    /// The confirmation is read even if nobody receives, as long as less is unread than
    /// [`Options::queued_bytes`] allows.
    ///
    /// Errors: as [`send`](NodeChannel::send), and [`Error::Handle`], [`Error::NotAcknowledged`], [`Error::HandleLost`].
    pub async fn send_handle(&self, message: &Out, handle: Handle) -> Result<(), Error> {
        let connection = &self.owner.connection;
        let message = Value::from_serialize(message)?;
        check(&message)?;
        connection.send_handle(message, handle).await
    }

    /// As [`send_internal`](NodeChannel::send_internal) without a handle and without waiting.
    ///
    /// Errors: as for [`try_send`](NodeChannel::try_send).
    pub fn try_send_internal(&self, message: &Value) -> Result<(), Error> {
        let connection = &self.owner.connection;
        refuse_commands_of_handles(message)?;
        let bytes = connection.encode_value(message)?;
        let room = connection.outgoing.room_now(bytes.len())?;
        connection.outgoing.push_quietly(connection.socket.as_fd(), Piece::new(bytes, None, Some(room)));
        Ok(())
    }

    /// Sends a connection with a message of Node's own, without waiting: what becomes of it is told by [`Parcel::fate`],
    /// and [`recv`](NodeChannel::recv) returns [`Error::HandleLost`] when the peer says, after some attempts, that the
    /// connection does not arrive: the oldest parcel that is [`Fate::Sent`] was on its way then, and is [`Fate::Kept`] now.
    ///
    /// Errors: [`Error::Full`] if the peer does not read, [`Error::Closed`]; [`Error::Encode`] if the form is for the other
    /// serialization. The parcel was not sent then.
    pub fn post(&self, form: &Form, number: u32, parcel: &Parcel) -> Result<(), Error> {
        let connection = &self.owner.connection;
        if form.serialization() != connection.serialization {
            return Err(Error::Encode("the form is for the other serialization".into()));
        }
        let bytes = form.fill(number);
        let room = connection.outgoing.room_now(bytes.len())?;
        parcel.set_fate(Fate::Kept);
        connection.outgoing.push_quietly(connection.socket.as_fd(), Piece::parcel(bytes, parcel.clone(), room));
        Ok(())
    }

    /// Sends a message of Node's own (`cmd` begins with `NODE_`), for programs that speak the protocol of `node:cluster`.
    /// The commands that have to do with handles are refused: a stray one ends a Node process.
    pub async fn send_internal(&self, message: &Value, handle: Option<Handle>) -> Result<(), Error> {
        let connection = &self.owner.connection;
        refuse_commands_of_handles(message)?;
        match handle {
            Some(handle) => connection.send_handle(message.clone(), handle).await,
            None => connection.send(connection.encode_value(message)?, None).await,
        }
    }
}

impl<Out, In: DeserializeOwned + 'static> NodeChannel<Out, In> {
    /// The next message; `Ok(None)` when the peer is gone and everything that it wrote was received. (A message that it had
    /// only begun when it ended is dropped.) Nothing is lost when the future is dropped.
    ///
    /// Errors: [`Error::Malformed`] and [`Error::Unexpected`] concern one message, the next call goes on;
    /// [`Error::TooLarge`] and [`Error::System`] end the channel.
    pub async fn recv(&self) -> Result<Option<Incoming<In>>, Error> {
        let item = self.owner.inbox.lock().await.recv().await.transpose()?;
        item.map(|item| self.open_item(item)).transpose()
    }

    fn open_item(&self, item: Item) -> Result<Incoming<In>, Error> {
        let value = match (item.content, self.serialization()) {
            (Content::Bytes(bytes), Serialization::Json) => json::decode(&bytes)?,
            (Content::Bytes(bytes), Serialization::Advanced) => into_type(advanced::decode(&bytes)?)?,
            (Content::Decoded(value), _) => into_type(value)?,
        };
        Ok(Incoming { value, handle: item.handle })
    }
}

fn refuse_commands_of_handles(message: &Value) -> Result<(), Error> {
    match internal::command(message) {
        Some(command) if command.starts_with(internal::HANDLE) || command.starts_with("NODE_SOCKET_") => {
            Err(Error::Reserved(command.to_owned()))
        }
        _ => Ok(()),
    }
}

/// A [`Value`] needs no detour through serde to be one.
fn into_type<T: DeserializeOwned + 'static>(value: Value) -> Result<T, Error> {
    let mut value = Some(value);
    if let Some(same) = (&mut value as &mut dyn Any).downcast_mut::<Option<T>>() {
        return same.take().ok_or(Error::Closed);
    }
    value.unwrap_or_default().deserialize()
}

impl<Out, In> Clone for NodeChannel<Out, In> {
    fn clone(&self) -> NodeChannel<Out, In> {
        NodeChannel { owner: Arc::clone(&self.owner), types: PhantomData }
    }
}

impl<Out, In> fmt::Debug for NodeChannel<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connection = &self.owner.connection;
        f.debug_struct("NodeChannel")
            .field("socket", &connection.socket)
            .field("serialization", &connection.serialization)
            .finish_non_exhaustive()
    }
}
