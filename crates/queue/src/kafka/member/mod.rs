//! A member of a queue's consumer group: a thread that polls librdkafka, hands deliveries out and takes them back.
//!
//! ```text
//!  librdkafka ─ one queue for each partition ─► take ─► begin (─► record) ─► hand out ─► Delivery
//!      ▲                                        ▲                  ▲                      │ ack · nack
//!      └ polled always, full or not             └ waits for its    └──── committer ◄──────┘
//!        (so the group never waits for us)        time, or again         one commit at a time carries all that came meanwhile
//! ```
//!
//! A commit holds, for each partition, which messages are unsettled, how often each was begun, and how far the member may go before the next
//! commit ([`Window`](super::window::Window)). An `ack` returns when the commit that says "settled" is confirmed. A message that comes for the first time is handed
//! out at once; one that was begun before, or may have been, only when the commit that counts this is confirmed. So a message that kills its
//! consumer again and again is known, and ends as a dead letter.

mod committer;
mod context;
mod partition;
mod settle;
mod thread;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{mpsc as hand, oneshot};

use self::partition::{Alive, Hold};
use super::declared::Declared;
use super::retry::Keeper;
use super::shared::Shared;
use crate::{ConsumeOptions, Consumer, Delivery, Error, Message, QueueName};

/// The longest wait for which a message stays with its consumer; longer ones go through the retry topics.
const LONGEST_STAY: Duration = Duration::from_secs(10);
/// More than this do not stay: they hold memory, and a place in the window of their partition.
const MOST_STAYING: usize = 1000;

/// Which delivery, of which time that we held its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    partition: i32,
    life: u64,
    offset: i64,
}

/// Told when it is on record.
type Done = oneshot::Sender<Result<(), Error>>;

/// What the thread is told.
enum Event {
    /// A delivery is done with.
    Settled { place: Place, alive: Alive, done: Done },
    /// It shall come again here, after this wait.
    Again { place: Place, alive: Alive, message: Box<Message>, begun: u32, wait: Duration, done: Done },
    /// A poisonous message was sent to its dead-letter topic, or could not be.
    Buried { place: Place, message: Box<Message>, begun: u32, result: Result<(), Error> },
    /// The commit is confirmed, or was not.
    Committed(Result<(), Error>),
    /// librdkafka has something.
    Wake,
    /// No more shall be handed out; what was is still settled.
    Rest,
    /// The consumer was dropped, or the handle closed.
    Stop,
}

/// What deliveries need to get back.
struct Link {
    shared: Arc<Shared>,
    queue: QueueName,
    declared: Declared,
    inbox: mpsc::Sender<Event>,
    /// Messages that stay with the consumer until their time has come.
    staying: AtomicUsize,
}

/// Begins to consume.
pub(super) fn start(
    shared: &Arc<Shared>,
    queue: &QueueName,
    declared: Declared,
    options: ConsumeOptions,
    forwarder: Arc<Keeper>,
) -> Result<Consumer, Error> {
    let (inbox, events) = mpsc::channel();
    let (out, deliveries) = hand::unbounded_channel();
    let link = Arc::new(Link {
        shared: Arc::clone(shared),
        queue: queue.clone(),
        declared,
        inbox: inbox.clone(),
        staying: AtomicUsize::new(0),
    });
    let stopper = inbox.clone();
    let running = shared.begin(move || stopper.send(Event::Stop).unwrap_or_default())?;
    thread::start(link, events, out, options, (running, forwarder))?;
    let rest = inbox.clone();
    let consumer = Consumer::new(Deliveries { deliveries, inbox });
    Ok(consumer.stopped_by(move || rest.send(Event::Rest).unwrap_or_default()))
}

/// A delivery on its way to the consumer, with a word on whether its partition is still ours.
struct Handed {
    delivery: Delivery,
    held: Arc<Hold>,
}

/// The stream of a [`Consumer`].
struct Deliveries {
    deliveries: hand::UnboundedReceiver<Result<Handed, Error>>,
    inbox: mpsc::Sender<Event>,
}

impl Stream for Deliveries {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match self.deliveries.poll_recv(context) {
                // It went to another member while it lay here: that one gets it.
                Poll::Ready(Some(Ok(handed))) if !handed.held.take() => continue,
                Poll::Ready(Some(Ok(handed))) => Poll::Ready(Some(Ok(handed.delivery))),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        // The thread leaves the group by itself: nobody waits for a broker here.
        let _ = self.inbox.send(Event::Stop);
    }
}

impl Link {
    /// Whether one more message may stay with the consumer.
    fn has_room(&self) -> bool {
        self.staying.load(Ordering::Relaxed) < MOST_STAYING
    }
}
