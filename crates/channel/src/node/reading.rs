//! [`Reading`]: the task that reads, answers what is Node's own, and delivers the rest.

use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::accounts::Accounts;
use super::connection::Connection;
use super::error::system;
use super::incoming::{Descriptors, Framer, READ_BYTES, Read, read};
use super::outgoing::{Answer, Piece};
use super::{Error, Handle, InternalMessages, Serialization, Value, internal};

/// What a received message takes beside its bytes, in bytes: so that very many empty ones are not for nothing.
const BYTES_BESIDE_A_MESSAGE: usize = 128;

/// A message on its way to [`NodeChannel::recv`].
pub(super) struct Item {
    pub(super) content: Content,
    pub(super) handle: Option<Handle>,
    _room: OwnedSemaphorePermit,
}

pub(super) enum Content {
    Bytes(Vec<u8>),
    Decoded(Value),
}

pub(super) struct Reading<'a> {
    framer: Framer,
    descriptors: Descriptors,
    /// The bytes that may wait for [`NodeChannel::recv`].
    room: Arc<Semaphore>,
    room_bytes: usize,
    accounts: Arc<Accounts>,
    deliver: mpsc::UnboundedSender<Result<Item, Error>>,
    connection: &'a Connection,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        connection: &'a Arc<Connection>,
        deliver: mpsc::UnboundedSender<Result<Item, Error>>,
    ) -> Reading<'a> {
        let accounts = Accounts::new(Box::new({
            let connection = Arc::downgrade(connection);
            move |message| {
                if let Some(connection) = connection.upgrade() {
                    connection.push_quietly(&message, None);
                }
            }
        }));
        let options = &connection.options;
        let room_bytes = options.queued_bytes.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        Reading {
            framer: Framer::new(connection.serialization, options.largest_message),
            descriptors: Descriptors::default(),
            room: Arc::new(Semaphore::new(room_bytes)),
            room_bytes,
            accounts,
            deliver,
            connection,
        }
    }

    pub(super) async fn run(&mut self) -> Result<(), Error> {
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
                        if self.connection.serialization == Serialization::Json && frame == internal::ACK_LINE {
                            self.descriptors.pass();
                            self.connection.outgoing.answered(self.connection.socket.as_fd(), Answer::Arrived);
                            continue;
                        }
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
            internal::ACK => self.answered(Answer::Arrived),
            internal::NACK => self.answered(Answer::Missing),
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

    /// The peer has answered to the oldest handle.
    fn answered(&self, answer: Answer) {
        if let Some(why) = self.connection.outgoing.answered(self.connection.socket.as_fd(), answer) {
            let _ = self.deliver.send(Err(why)); // nobody receives any more
        }
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
