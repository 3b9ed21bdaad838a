//! [`Deliveries`]: what comes out of a queue, over all lives of the connection.
//!
//! ```text
//!   Open ── the channel or the connection is gone ──► Opening ── a new channel ──► Open
//!    │ poll: lapin's consumer, without a hop between      │ no such queue, refused: the error, then the end
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::oneshot;

use super::broker::Shared;
use super::convert::Incoming;
use super::link::{Link, jittered};
use super::settle::Unsettled;
use super::{NAME, failure, topology};
use crate::io::within;
use crate::{Consumer, Delivery, Error};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const OK: u16 = 200;
/// One try to begin: a quorum queue without a leader keeps whoever asks waiting, and does not always tell them when it has one.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// A queue of replies that nobody consumes is gone after this time: its owner may lose its connection meanwhile, and come back.
const REPLIES_EXPIRE: Duration = Duration::from_secs(300);
/// Replies that wait; the oldest of more are gone.
const MOST_REPLIES: u64 = 100_000;

/// What is consumed.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) queue: Arc<str>,
    pub(super) prefetch: u16,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody declared it.
    Queue,
    /// Our own: made by whoever consumes it.
    Replies,
}

/// A consumer on a channel.
pub(super) struct Opened {
    consumer: lapin::Consumer,
    channel: Arc<Channel>,
}

/// Shared with whoever stops a consumer.
#[derive(Default)]
pub(super) struct Stopping {
    asked: AtomicBool,
    /// The channel of the moment, and how it names the consumer.
    current: Mutex<Option<(Arc<Channel>, ShortString)>>,
}

impl Stopping {
    /// Asks RabbitMQ for no more.
    pub(super) fn stop(&self, link: &Link) {
        self.asked.store(true, Ordering::Release);
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((channel, tag)) = current {
            link.io().handle().spawn(async move {
                // An error: the channel is gone, and the consumer with it.
                let _ = channel.basic_cancel(tag, BasicCancelOptions::default()).await;
            });
        }
    }

    /// It consumes by this channel now. `false`: it shall not.
    fn goes_on_with(&self, opened: &Opened) -> bool {
        let current = (opened.channel.clone(), opened.consumer.tag());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
        !self.asked.load(Ordering::Acquire)
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

enum State {
    Open(Opened),
    Opening(oneshot::Receiver<Result<Opened, Error>>),
    Ended,
}

/// See the module.
pub(super) struct Deliveries {
    shared: Arc<Shared>,
    link: Arc<Link>,
    source: Source,
    stopping: Arc<Stopping>,
    state: State,
}

impl Source {
    /// Opens it, as soon as RabbitMQ is there. An error that is passing may help itself.
    pub(super) async fn open(&self, link: &Link) -> Result<Opened, Error> {
        let live = link.wait_for_life().await?;
        let queue = &*self.queue;
        let open = async {
            let channel = live.connection.create_channel().await?;
            if self.kind == Kind::Replies {
                channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), replies()).await?;
            }
            channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
            Ok::<_, lapin::Error>(Opened { consumer, channel: Arc::new(channel) })
        };
        match within(link.io().handle(), OPEN_DEADLINE, open).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) => {
                link.suspect();
                Err(failure::of_queue(&error, queue))
            }
            Err(_) => Err(Error::unavailable(NAME, "it did not begin to deliver in time")),
        }
    }
}

fn replies() -> FieldTable {
    let mut table = FieldTable::default();
    let expire = u64::try_from(REPLIES_EXPIRE.as_millis()).unwrap_or(u64::MAX);
    table.insert("x-expires".into(), topology::number(expire));
    table.insert("x-max-length".into(), topology::number(MOST_REPLIES));
    table
}

impl Deliveries {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<Link>, source: Source, opened: Opened) -> Deliveries {
        let stopping = Arc::new(Stopping::default());
        stopping.goes_on_with(&opened);
        Deliveries { shared, link, source, stopping, state: State::Open(opened) }
    }

    /// As a consumer of the crate.
    pub(super) fn into_consumer(self) -> Consumer {
        let (stopping, link) = (self.stopping.clone(), self.link.clone());
        Consumer::new(self).stopped_by(move || stopping.stop(&link))
    }

    /// Begins to open it anew.
    fn reopen(&self) -> State {
        self.link.suspect();
        let (tell, opened) = oneshot::channel();
        let (link, source) = (self.link.clone(), self.source.clone());
        let thread = self.link.io().handle().clone();
        thread.spawn(async move {
            let mut tell = tell;
            let mut pause = FIRST_PAUSE;
            loop {
                let result = tokio::select! {
                    result = source.open(&link) => result,
                    () = tell.closed() => return,
                };
                match result {
                    Err(error) if error.is_passing() => tokio::time::sleep(jittered(pause)).await,
                    result => {
                        let _ = tell.send(result);
                        return;
                    }
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        State::Opening(opened)
    }
}

impl Stream for Deliveries {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Open(Opened { consumer, channel }) => match Pin::new(consumer).poll_next(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(mut arrived))) => {
                        let incoming = Incoming::of(&mut arrived, &this.source.queue);
                        let unsettled = Unsettled {
                            shared: this.shared.clone(),
                            channel: channel.clone(),
                            tag: arrived.delivery_tag,
                            queue: this.source.queue.clone(),
                            attempt: incoming.attempt,
                            typed: incoming.typed.map(Box::new),
                        };
                        let delivery =
                            Delivery::new(incoming.message, incoming.attempt, arrived.redelivered, unsettled);
                        return Poll::Ready(Some(Ok(delivery)));
                    }
                    // What is in hand can still be settled, if its channel lives.
                    Poll::Ready(Some(Err(_)) | None) if this.stopping.is_asked() => return Poll::Ready(None),
                    Poll::Ready(Some(Err(_)) | None) => this.state = this.reopen(),
                },
                State::Opening(_) if this.stopping.is_asked() => this.state = State::Ended,
                State::Opening(opened) => match Pin::new(opened).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(Ok(opened))) => {
                        let goes_on = this.stopping.goes_on_with(&opened);
                        this.state = if goes_on { State::Open(opened) } else { State::Ended };
                    }
                    Poll::Ready(Ok(Err(Error::Closed)) | Err(_)) => this.state = State::Ended,
                    Poll::Ready(Ok(Err(error))) => {
                        this.state = State::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for Deliveries {
    /// What is unsettled comes back, also what somebody still holds.
    fn drop(&mut self) {
        if let State::Open(Opened { channel, .. }) = &self.state {
            let channel = channel.clone();
            self.link.io().handle().spawn(async move {
                let _ = channel.close(OK, "OK".into()).await;
            });
        }
    }
}
