//! [`Inbox`]: what has come and was not taken. Bounded by the senders' windows.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::OwnedSemaphorePermit;

use super::desk::Receipt;
use super::{Desk, Kind, Letter, Member, Message, Reply};

/// What came for this worker.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// A message.
    Message {
        /// Who sent it.
        from: Member,
        /// The message.
        message: Message,
    },
    /// A message that wants an answer.
    Request {
        /// Who asks.
        from: Member,
        /// The question.
        message: Message,
        /// The right to answer.
        reply: Reply,
    },
    /// A connection that is ours from now on.
    Connection {
        /// Who passed it.
        from: Member,
        /// What was said with it.
        head: Message,
        /// The connection, close-on-exec and in the mode in which it was: `TcpStream::from(socket)`.
        socket: OwnedFd,
    },
}

/// One thing in the inbox.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) from: Member,
    pub(crate) what: What,
    pub(crate) receipt: Option<Receipt>,
}

#[derive(Debug)]
pub(crate) enum What {
    Message(Message),
    Request(Message, Reply),
    Connection { id: u64, head: Message, socket: OwnedFd, desk: Arc<Desk> },
}

impl Entry {
    /// The entry of a letter to `desk`, if it is one for an inbox.
    pub(crate) fn of(desk: &Arc<Desk>, letter: Letter) -> Result<Entry, Letter> {
        let from = letter.member;
        let (what, receipt) = match letter.kind {
            Kind::Message | Kind::News => {
                let receipt = Receipt::of(desk, &letter);
                (What::Message(Message::new(letter.body)), Some(receipt))
            }
            Kind::Request { id } => {
                (What::Request(Message::new(letter.body), Reply::new(Arc::clone(desk), from, id)), None)
            }
            Kind::Connection { id } => {
                let head = Message::new(letter.body);
                match letter.descriptor {
                    Some(socket) => (What::Connection { id, head, socket, desk: Arc::clone(desk) }, None),
                    // It was lost on the way; the sender has it still.
                    None => {
                        let withdrawn = Letter::bare(from, Kind::Withdrawn { id });
                        desk.post(withdrawn);
                        return Err(Letter::bare(from, letter.kind));
                    }
                }
            }
            _ => return Err(letter),
        };
        Ok(Entry { from, what, receipt })
    }

    fn bytes(&self) -> usize {
        match &self.what {
            What::Message(message) | What::Request(message, _) | What::Connection { head: message, .. } => {
                message.as_bytes().len()
            }
        }
    }

    /// Takes it out of the inbox for good: the sender may send more, a connection changes hands.
    fn take(self) -> Incoming {
        let from = self.from;
        match self.what {
            What::Message(message) => Incoming::Message { from, message },
            What::Request(message, reply) => Incoming::Request { from, message, reply },
            What::Connection { id, head, socket, desk } => {
                desk.post(Letter::bare(from, Kind::Accepted { id }));
                Incoming::Connection { from, head, socket }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Shelf {
    entries: VecDeque<Entry>,
    bytes: usize,
    wakers: Vec<Waker>,
    /// Given back when this inbox is dropped.
    account: Option<OwnedSemaphorePermit>,
    /// Whoever waits waits no longer.
    closed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    shelf: Mutex<Shelf>,
}

impl Inbox {
    pub(crate) fn push(&self, entry: Entry) {
        let mut shelf = self.shelf();
        shelf.bytes += entry.bytes();
        shelf.entries.push_back(entry);
        wake(shelf);
    }

    /// Nobody is to wait for more.
    pub(crate) fn close(&self) {
        let mut shelf = self.shelf();
        shelf.closed = true;
        wake(shelf);
    }

    /// The sender is gone: nothing more comes. What it sent is kept, and its place in the account of that too.
    pub(crate) fn close_keeping(&self, account: OwnedSemaphorePermit) {
        let mut shelf = self.shelf();
        if !shelf.entries.is_empty() {
            shelf.account = Some(account);
        }
        shelf.closed = true;
        wake(shelf);
    }

    /// The sender wants its connection back; it was not taken if it is still here.
    pub(crate) fn withdraw(&self, from: Member, id: u64) {
        let mut shelf = self.shelf();
        let at = shelf.entries.iter().position(
            |entry| matches!(&entry.what, What::Connection { id: here, .. } if *here == id && entry.from == from),
        );
        let entry = at.and_then(|at| shelf.entries.remove(at));
        if let Some(entry) = &entry {
            shelf.bytes -= entry.bytes();
        }
        drop(shelf);
    }

    /// Bytes of what is here.
    pub(crate) fn bytes(&self) -> usize {
        self.shelf().bytes
    }

    /// Drops all that is here.
    pub(crate) fn clear(&self) {
        let mut shelf = self.shelf();
        let entries = std::mem::take(&mut shelf.entries);
        shelf.bytes = 0;
        drop(shelf);
        drop(entries);
    }

    /// The next entry of the wanted kind.
    pub(crate) fn poll_entry(&self, cx: &mut Context<'_>, wanted: impl Fn(&Entry) -> bool) -> Poll<Option<Entry>> {
        let mut shelf = self.shelf();
        if let Some(at) = shelf.entries.iter().position(wanted) {
            let entry = shelf.entries.remove(at);
            shelf.bytes -= entry.as_ref().map_or(0, Entry::bytes);
            return Poll::Ready(entry);
        }
        if shelf.closed {
            return Poll::Ready(None);
        }
        if !shelf.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            shelf.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The next entry, whatever it is.
    pub(crate) async fn entry(&self) -> Option<Entry> {
        poll_fn(|cx| self.poll_entry(cx, |_| true)).await
    }

    /// The next plain message.
    pub(crate) async fn message(&self) -> Option<Message> {
        let entry = poll_fn(|cx| self.poll_entry(cx, |entry| matches!(entry.what, What::Message(_)))).await;
        match entry.map(Entry::take) {
            Some(Incoming::Message { message, .. }) => Some(message),
            _ => None,
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut shelf: MutexGuard<'_, Shelf>) {
    let wakers = std::mem::take(&mut shelf.wakers);
    drop(shelf);
    wakers.into_iter().for_each(Waker::wake);
}

/// A stream of all that comes for this worker. Made by [`Worker::messages`](crate::Worker::messages).
#[derive(Debug)]
pub struct Messages {
    pub(crate) inbox: Arc<Inbox>,
}

impl Messages {
    /// The next one; `None` when this worker has to leave and all that came was taken. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        // A flood must not keep the other tasks of this thread waiting.
        tokio::task::coop::consume_budget().await;
        self.inbox.entry().await.map(Entry::take)
    }
}

impl futures_core::Stream for Messages {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        self.inbox.poll_entry(cx, |_| true).map(|entry| entry.map(Entry::take))
    }
}
