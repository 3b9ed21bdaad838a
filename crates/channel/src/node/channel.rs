//! [`NodeChannel`]: one end of a connection with Node.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::accounts::Accounts;
use super::error::system;
use super::handle::envelope;
use super::incoming::{Descriptors, Framer, READ_BYTES, Read, read};
use super::outgoing::{Answer, Outgoing, Pace, Piece, Stopped};
use super::{Error, Handle, InternalMessages, Options, PeerVersion, Serialization, Value, advanced, internal, json};
use crate::Watched;

/// What a received message takes beside its bytes, in bytes: so that very many empty ones are not for nothing.
const BYTES_BESIDE_A_MESSAGE: usize = 128;

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

/// What the clones and both tasks share.
struct Connection {
    socket: Watched,
    serialization: Serialization,
    options: Options,
    outgoing: Outgoing,
}

/// A message on its way to [`NodeChannel::recv`].
struct Item {
    content: Content,
    handle: Option<Handle>,
    _room: OwnedSemaphorePermit,
}

enum Content {
    Bytes(Vec<u8>),
    Decoded(Value),
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
        let kind = sockopt::socket_domain(&socket).and_then(|family| Ok((family, sockopt::socket_type(&socket)?)));
        if kind != Ok((AddressFamily::UNIX, SocketType::STREAM)) {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is no Unix stream socket");
            return Err(system("open the channel to Node", source));
        }
        rustix::io::ioctl_fionbio(&socket, true).map_err(|source| system("make the channel non-blocking", source))?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)
            .map_err(|source| system("keep the channel from children", source))?;

        let socket = Watched::for_both(socket).map_err(|source| system("watch the channel", source))?;
        let pace = match (serialization, options.peer) {
            (Serialization::Advanced, PeerVersion::Any) => Pace::WhenRead,
            _ => Pace::Free,
        };
        let outgoing = Outgoing::new(&options, pace);
        let connection = Arc::new(Connection { socket, serialization, options, outgoing });
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
    /// Errors: [`Error::Stalled`] if the deadline came first; this end is closed all the same.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        let connection = &self.owner.connection;
        let flushed = timeout(deadline, connection.outgoing.drained()).await;
        connection.shut_down();
        flushed.map_err(|_| Error::Stalled { waited: deadline })
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

    /// Sends a message of Node's own (`cmd` begins with `NODE_`), for programs that speak the protocol of `node:cluster`.
    /// The commands that have to do with handles are refused: a stray one ends a Node process.
    pub async fn send_internal(&self, message: &Value, handle: Option<Handle>) -> Result<(), Error> {
        let connection = &self.owner.connection;
        if let Some(command) = internal::command(message)
            && (command.starts_with(internal::HANDLE) || command.starts_with("NODE_SOCKET_"))
        {
            return Err(Error::Reserved(command.to_owned()));
        }
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

/// A [`Value`] needs no detour through serde to be one.
fn into_type<T: DeserializeOwned + 'static>(value: Value) -> Result<T, Error> {
    let mut value = Some(value);
    if let Some(same) = (&mut value as &mut dyn Any).downcast_mut::<Option<T>>() {
        return same.take().ok_or(Error::Closed);
    }
    value.unwrap_or_default().deserialize()
}

/// Errors: what Node does not take as a message, or would not give to its program.
fn check(message: &Value) -> Result<(), Error> {
    if let Some(command) = internal::command(message) {
        return Err(Error::Reserved(command.to_owned()));
    }
    match message {
        Value::Undefined | Value::Hole => Err(Error::Encode("undefined is no message".into())),
        Value::BigInt(_) => Err(Error::Encode("a BigInt alone is no message".into())),
        _ => Ok(()),
    }
}

impl Connection {
    fn encode<T: Serialize + 'static>(&self, message: &T) -> Result<Vec<u8>, Error> {
        if let Some(value) = (message as &dyn Any).downcast_ref::<Value>() {
            check(value)?;
            return self.encode_value(value);
        }
        if self.serialization == Serialization::Advanced {
            let value = Value::from_serialize(message)?;
            check(&value)?;
            return self.encode_value(&value);
        }
        let line = json::encode(message)?;
        if let Some(internal) = internal::parse(self.serialization, &line) {
            check(&internal)?;
        }
        self.within_limit(line)
    }

    fn encode_value(&self, value: &Value) -> Result<Vec<u8>, Error> {
        self.within_limit(internal::encode(self.serialization, value)?)
    }

    fn within_limit(&self, message: Vec<u8>) -> Result<Vec<u8>, Error> {
        let framing = match self.serialization {
            Serialization::Json => 1,
            Serialization::Advanced => advanced::LENGTH_BYTES,
        };
        let (bytes, limit) = (message.len() - framing, self.options.largest_message);
        if bytes > limit { Err(Error::TooLarge { bytes, limit }) } else { Ok(message) }
    }

    async fn send_handle(&self, message: Value, handle: Handle) -> Result<(), Error> {
        let bytes = self.encode_value(&envelope(handle.prepare()?, message))?;
        self.send(bytes, Some(handle)).await
    }

    async fn send(&self, bytes: Vec<u8>, handle: Option<Handle>) -> Result<(), Error> {
        let patience = self.options.send_deadline;
        let stalled = || Error::Stalled { waited: patience };
        let deadline = Instant::now() + patience;
        let room = match self.outgoing.room_now(bytes.len()) {
            Err(Error::Full) => {
                timeout_at(deadline, self.outgoing.room(bytes.len())).await.map_err(|_| stalled())??
            }
            now => now?,
        };
        // The task that writes ends the wait for a confirmation, which begins when the message is out.
        let deadline = if handle.is_some() { deadline + self.options.handle_deadline } else { deadline };
        let mut outcome = self.outgoing.push(self.socket.as_fd(), Piece::new(bytes, handle, Some(room)));
        if let Ok(done) = outcome.try_recv() {
            return done;
        }
        match timeout_at(deadline, &mut outcome).await {
            Ok(outcome) => outcome.unwrap_or(Err(Error::Closed)),
            Err(_) => {
                drop(outcome);
                self.outgoing.forget_closed();
                Err(stalled())
            }
        }
    }

    /// Waits with what the socket did not take at once.
    async fn write_all(self: Arc<Self>) {
        loop {
            let wake = self.outgoing.wake.notified();
            let (stopped, deadline) = self.outgoing.write(self.socket.as_fd());
            let abandoned = self.outgoing.is_abandoned();
            match stopped {
                Stopped::Ended => break,
                Stopped::Idle if abandoned => break,
                Stopped::Idle => until(deadline, wake).await.unwrap_or(()),
                Stopped::Blocked => {
                    let patience = if abandoned { Some(self.options.send_deadline) } else { None };
                    let deadline = patience.map(|patience| Instant::now() + patience).or(deadline);
                    match until(deadline, first(self.socket.writable(), wake)).await {
                        Some(Some(Ok(mut ready))) => {
                            if self.outgoing.write(self.socket.as_fd()).0 == Stopped::Blocked {
                                ready.clear_ready();
                            }
                        }
                        Some(Some(Err(_))) => break,
                        None if abandoned => break,
                        Some(None) | None => {}
                    }
                }
            }
        }
        self.shut_down();
    }

    /// Ends both directions, so that the peer hears of it although other clones still own the socket.
    fn shut_down(&self) {
        self.outgoing.end();
        // A peer that has gone first leaves nothing to end.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Reads until the end, as long as there is room for what is read.
    async fn read_all(self: Arc<Self>, deliver: mpsc::UnboundedSender<Result<Item, Error>>) {
        let accounts = Accounts::new(Box::new({
            let connection = Arc::downgrade(&self);
            move |message| {
                if let Some(connection) = connection.upgrade() {
                    connection.push_quietly(&message, None);
                }
            }
        }));
        let room_bytes = self.options.queued_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let mut reading = Reading {
            framer: Framer::new(self.serialization, self.options.largest_message),
            descriptors: Descriptors::default(),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            accounts,
            deliver,
            connection: &self,
        };
        if let Err(why) = reading.run().await {
            let _ = reading.deliver.send(Err(why)); // nobody receives any more
        }
        // Nobody is there who could read or answer, or nobody here can understand what comes.
        self.shut_down();
    }

    fn push_quietly(&self, message: &Value, room: Option<OwnedSemaphorePermit>) {
        if let Ok(bytes) = internal::encode(self.serialization, message) {
            self.outgoing.push_quietly(self.socket.as_fd(), Piece::new(bytes, None, room));
        }
    }
}

async fn until<T>(deadline: Option<Instant>, event: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, event).await.ok(),
        None => Some(event.await),
    }
}

/// Waits for either; nothing if it was the second.
async fn first<T>(event: impl Future<Output = T>, other: impl Future<Output = ()>) -> Option<T> {
    let (mut event, mut other) = (pin!(event), pin!(other));
    poll_fn(|cx| match event.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => other.as_mut().poll(cx).map(|()| None),
    })
    .await
}

struct Reading<'a> {
    framer: Framer,
    descriptors: Descriptors,
    /// The bytes that may wait for [`NodeChannel::recv`].
    room: Arc<Semaphore>,
    room_bytes: usize,
    accounts: Arc<Accounts>,
    deliver: mpsc::UnboundedSender<Result<Item, Error>>,
    connection: &'a Connection,
}

impl Reading<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let ready = self.connection.socket.readable().await;
            let mut ready = ready.map_err(|source| system("wait for the channel", source))?;
            match read(self.connection.socket.as_fd(), &mut bytes)? {
                Read::Nothing => ready.clear_ready(),
                Read::End => return Ok(()),
                Read::Bytes(count, descriptor) => {
                    self.descriptors.note(descriptor);
                    self.framer.push(&bytes[..count]);
                    while let Some(frame) = self.framer.take()? {
                        let message = match internal::parse(self.connection.serialization, frame) {
                            Some(message) => Content::Decoded(message),
                            None => Content::Bytes(frame.to_vec()),
                        };
                        let length = frame.len();
                        self.take(message, length).await?;
                    }
                    tokio::task::coop::consume_budget().await;
                }
            }
        }
    }

    async fn take(&mut self, message: Content, bytes: usize) -> Result<(), Error> {
        let Content::Decoded(message) = message else {
            self.descriptors.pass();
            return self.deliver(message, None, bytes).await;
        };
        let command = internal::command(&message).unwrap_or_default();
        if command == internal::HANDLE {
            return self.take_handle(message, bytes).await;
        }
        self.descriptors.pass();
        let connection = self.connection;
        let key = message.get("key").and_then(Value::as_str).unwrap_or_default();
        match command {
            internal::ACK => connection.outgoing.answered(connection.socket.as_fd(), Answer::Arrived),
            internal::NACK => connection.outgoing.answered(connection.socket.as_fd(), Answer::Missing),
            internal::GET_COUNT => {
                let room = connection.outgoing.room_for_answer().await?;
                connection.push_quietly(&self.accounts.count(key), Some(room));
            }
            internal::NOTIFY_CLOSE => {
                if let Some(answer) = self.accounts.notify_close(key) {
                    let room = connection.outgoing.room_for_answer().await?;
                    connection.push_quietly(&answer, Some(room));
                }
            }
            _ if connection.options.internal_messages == InternalMessages::Deliver => {
                self.deliver(Content::Decoded(message), None, bytes).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Answers before the program sees the message, as Node does: one answer for each message on the wire.
    async fn take_handle(&mut self, message: Value, bytes: usize) -> Result<(), Error> {
        let connection = self.connection;
        let descriptor = self.descriptors.take();
        let answer = internal::answer(if descriptor.is_some() { internal::ACK } else { internal::NACK });
        let room = connection.outgoing.room_for_answer().await?;
        let answer = internal::encode(connection.serialization, &answer)?;
        connection.outgoing.push_quietly(connection.socket.as_fd(), Piece::answer(answer, room));
        let Some(descriptor) = descriptor else { return Ok(()) };

        let (message, envelope) = internal::unwrap(message);
        let ignored = connection.options.internal_messages == InternalMessages::Ignore;
        if ignored && internal::command(&message).is_some() {
            return Ok(());
        }
        let held = match (envelope.name.as_str(), &envelope.key) {
            ("net.Socket", Some(key)) => Some(self.accounts.hold(key)),
            _ => None,
        };
        let handle = Handle::received(&envelope.name, descriptor, held);
        self.deliver(Content::Decoded(message), Some(handle), bytes).await
    }

    async fn deliver(&mut self, content: Content, handle: Option<Handle>, bytes: usize) -> Result<(), Error> {
        let permits = bytes.saturating_add(BYTES_BESIDE_A_MESSAGE).min(self.room_bytes) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| Error::Closed)?;
        let _ = self.deliver.send(Ok(Item { content, handle, _room: room })); // nobody receives any more
        Ok(())
    }
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
