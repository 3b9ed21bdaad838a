//! [`Connection`]: what the clones of a channel share, and the two tasks that work for them.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustix::net::{AddressFamily, SocketType, sockopt};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use super::error::system;
use super::handle::envelope;
use super::outgoing::{Outgoing, Pace, Piece, Stopped};
use super::reading::{Item, Reading};
use super::{Error, Handle, Options, PeerVersion, Serialization, Value, advanced, internal, json};
use crate::Watched;

/// What the clones and both tasks share.
pub(super) struct Connection {
    pub(super) socket: Watched,
    pub(super) serialization: Serialization,
    pub(super) options: Options,
    pub(super) outgoing: Outgoing,
}

/// Errors: what Node does not take as a message, or would not give to its program.
pub(super) fn check(message: &Value) -> Result<(), Error> {
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
    /// Errors: the descriptor is no Unix stream socket.
    pub(super) fn new(socket: OwnedFd, serialization: Serialization, options: Options) -> Result<Connection, Error> {
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
        Ok(Connection { socket, serialization, options, outgoing })
    }

    pub(super) fn encode<T: Serialize + 'static>(&self, message: &T) -> Result<Vec<u8>, Error> {
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

    pub(super) fn encode_value(&self, value: &Value) -> Result<Vec<u8>, Error> {
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

    pub(super) async fn send_handle(&self, message: Value, handle: Handle) -> Result<(), Error> {
        let bytes = self.encode_value(&envelope(handle.prepare()?, message))?;
        self.send(bytes, Some(handle)).await
    }

    pub(super) async fn send(&self, bytes: Vec<u8>, handle: Option<Handle>) -> Result<(), Error> {
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
    pub(super) async fn write_all(self: Arc<Self>) {
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
    pub(super) fn shut_down(&self) {
        self.outgoing.end();
        // A peer that has gone first leaves nothing to end.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Reads until the end, as long as there is room for what is read.
    pub(super) async fn read_all(self: Arc<Self>, deliver: mpsc::UnboundedSender<Result<Item, Error>>) {
        if let Err(why) = Reading::new(&self, deliver.clone()).run().await {
            let _ = deliver.send(Err(why)); // nobody receives any more
        }
        // Nobody is there who could read or answer, or nobody here can understand what comes.
        self.shut_down();
    }

    pub(super) fn push_quietly(&self, message: &Value, room: Option<OwnedSemaphorePermit>) {
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
