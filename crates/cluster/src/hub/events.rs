//! [`Events`]: what happens, in order, for whoever in the primary's code wants to know.
//!
//! A worker's events come from the supervisor, its messages from its line; its lane puts them in order: messages after
//! `Online`, `Exit` after the last of them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::messages::{Entry, Inbox, Receipt, What};
use crate::{Event, WorkerId};

/// Events and messages that wait in one stream.
const STREAM_QUEUE: usize = 256;

/// Longest wait for the end of a line whose process has ended. Only a process that it started and that holds its
/// descriptors keeps it open.
const LINE_END_GRACE: Duration = Duration::from_secs(1);

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Messages,
}

/// An event on its way; whoever takes it off the last stream gives the sender of a message room for more.
#[derive(Debug, Clone)]
struct Item {
    event: Event,
    _receipt: Option<Arc<Receipt>>,
}

/// An event of the supervisor, and its place in the count of those that wait.
pub(crate) type Counted = (Event, OwnedSemaphorePermit);

/// How a worker comes to its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Its `Online` will be told.
    Begins,
    /// It was told by an earlier image of this primary.
    GoesOn,
}

/// All streams.
#[derive(Debug)]
pub(crate) struct Streams {
    open: Mutex<Vec<(Wanted, mpsc::Sender<Item>)>>,
    subscribed: watch::Sender<bool>,
}

impl Streams {
    pub(crate) fn new() -> Arc<Streams> {
        Arc::new(Streams { open: Mutex::default(), subscribed: watch::Sender::new(false) })
    }

    pub(crate) fn subscribe(&self, wanted: Wanted) -> Events {
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        self.open().push((wanted, sender));
        self.subscribed.send_replace(true);
        Events { receiver }
    }

    /// Nobody will look any more: what happens from now on is forgotten.
    pub(crate) fn end(&self) {
        self.open().clear();
        self.subscribed.send_replace(true);
    }

    /// Hands an event to every stream, from the first subscription on; waits for those that are full, forgets those
    /// that are dropped.
    pub(crate) async fn publish(&self, event: Event, receipt: Option<Receipt>) {
        let mut subscribed = self.subscribed.subscribe();
        if subscribed.wait_for(|yes| *yes).await.is_err() {
            return;
        }
        let streams = self.open().clone();
        let is_message = matches!(event, Event::Message { .. });
        let item = Item { event, _receipt: receipt.map(Arc::new) };
        let mut gone = false;
        for (_, stream) in streams.iter().filter(|(wanted, _)| is_message || *wanted == Wanted::All) {
            gone |= stream.send(item.clone()).await.is_err();
        }
        if gone {
            self.open().retain(|(_, stream)| !stream.is_closed());
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<(Wanted, mpsc::Sender<Item>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's events and messages, in order, until its exit was told.
pub(crate) async fn lane(
    worker: WorkerId,
    life: Life,
    mail: Arc<Inbox>,
    mut events: mpsc::UnboundedReceiver<Counted>,
    streams: Arc<Streams>,
) {
    let (mut online, mut open) = (life == Life::GoesOn, true);
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            entry = mail.entry(), if online && open => {
                match entry {
                    Some(entry) => tell(worker, entry, &streams).await,
                    None => open = false,
                }
                continue;
            }
        };
        let Some((event, _counted)) = event else { return };
        online |= matches!(event, Event::Online { .. });
        let is_exit = matches!(event, Event::Exit { .. });
        if is_exit {
            while let Ok(Some(entry)) = tokio::time::timeout(LINE_END_GRACE, mail.entry()).await {
                tell(worker, entry, &streams).await;
            }
        }
        streams.publish(event, None).await;
        if is_exit {
            return;
        }
    }
}

async fn tell(worker: WorkerId, entry: Entry, streams: &Streams) {
    let event = match entry.what {
        What::Message(message) => Event::Message { worker, message },
        What::Request(message, reply) => Event::Request { worker, message, reply },
        What::Connection { .. } => return,
    };
    streams.publish(event, entry.receipt).await;
}

/// A stream of events. Bounded: while it is not read, the workers' messages wait with the workers.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Item>,
}

impl Events {
    /// The next event; `None` when the cluster has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await.map(|item| item.event)
    }
}

impl futures_core::Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.receiver.poll_recv(cx).map(|item| item.map(|item| item.event))
    }
}
