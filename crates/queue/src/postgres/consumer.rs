//! A consumer: takes messages ahead, as many as may be in hand, and says what became of them.
//!
//! ```text
//!   pump: free places? ─► take ─► channel ─► Consumer ─► Delivery ─► settlement (in batches) ─► place is free
//!     └─ nothing there: sleeps at the bell of the queue        └─ what is in hand is held anew every 10 s
//! ```

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::io::Io;
use crate::job::{JobId, Lease};
use crate::{BoxFuture, Consumer, Delivery, Error, Message, QueueName, Requeue, Settle};

use super::batch::Batches;
use super::broker::{message, of_queue};
use super::handle::{Handle, locked};
use super::values::{Id, column, count, int, millis};

/// Messages of one statement.
const MOST_TAKEN: u32 = 256;
/// The net under notifications.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look soon after a bell was hung up: what was sent in that moment may not have rung it.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// What became of a delivery.
pub(super) struct Settlement {
    id: JobId,
    attempt: i32,
    what: i16,
    delay: i64,
}

/// Says so; the answers are whether it was ours to say.
pub(super) type Settlements = Batches<Settlement, bool>;

/// One statement for many settlements.
pub(super) async fn settle_many(handle: Arc<Handle>, all: Vec<Settlement>) -> Result<Vec<bool>, Error> {
    let ids: Vec<Id> = all.iter().map(|one| Id(one.id)).collect();
    let attempts: Vec<i32> = all.iter().map(|one| one.attempt).collect();
    let whats: Vec<i16> = all.iter().map(|one| one.what).collect();
    let delays: Vec<i64> = all.iter().map(|one| one.delay).collect();
    let rows = handle.pool.query("SELECT settle_messages($1, $2, $3, $4)", &[&ids, &attempts, &whats, &delays]).await?;
    if delays.iter().any(|delay| *delay > 0) {
        handle.sweep.notify_one();
    }
    rows.first().map_or_else(|| Ok(Vec::new()), |row| column(row, 0))
}

/// What a consumer has in hand.
struct Hand {
    handle: Arc<Handle>,
    io: Arc<Io>,
    settlements: Arc<Settlements>,
    queue: QueueName,
    number: i64,
    messages: Mutex<HashMap<JobId, i32>>,
    freed: Notify,
}

/// Begins to consume.
pub(super) async fn open(
    handle: Arc<Handle>,
    io: Arc<Io>,
    settlements: Arc<Settlements>,
    queue: QueueName,
    prefetch: u32,
) -> Result<Consumer, Error> {
    let rows = handle.pool.query("SELECT 1 FROM queues WHERE name = $1", &[&queue.as_str()]).await?;
    if rows.is_empty() {
        return Err(Error::NoSuchQueue { queue: queue.to_string() });
    }
    let number = handle.number();
    let (messages, freed) = (Mutex::default(), Notify::new());
    let hand = Arc::new(Hand { handle, io, settlements, queue, number, messages, freed });
    let (deliver, deliveries) = mpsc::channel(usize::try_from(prefetch).unwrap_or(1).max(1));
    let (consumer, gone) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let runtime = hand.io.handle().clone();
    runtime.spawn(hand.pump(deliver, prefetch, gone, stopped));
    let stop = move || {
        let _ = stop.send(());
    };
    Ok(Consumer::new(Deliveries { deliveries, _consumer: consumer }).stopped_by(stop))
}

impl Hand {
    async fn pump(
        self: Arc<Self>,
        deliver: mpsc::Sender<Result<Delivery, Error>>,
        prefetch: u32,
        gone: oneshot::Receiver<()>,
        stopped: oneshot::Receiver<()>,
    ) {
        let me = JobId::new();
        let place = [format!("m:{}", self.queue)];
        let _ = self.handle.record(me, "consumer", &place).await;
        let mut closed = self.handle.closed.subscribe();
        let (end, ended) = watch::channel(false);
        // Nothing here is given up in the middle of a statement: what it took would be nobody's.
        let feeding = async {
            self.feed(&deliver, prefetch, ended).await;
            // The stream ends with what is in it.
            drop(deliver);
        };
        let ending = async {
            let holding = async {
                tokio::select! {
                    () = self.hold() => {}
                    _ = gone => {}
                    _ = closed.wait_for(|closed| *closed) => {}
                }
            };
            let stopping = async {
                if stopped.await.is_err() {
                    // Whoever drops the way to stop us has not stopped us.
                    std::future::pending::<()>().await;
                }
                end.send_replace(true);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = holding => {}
                () = stopping => {}
            }
            end.send_replace(true);
        };
        tokio::join!(feeding, ending);
        if !*self.handle.closed.borrow() {
            self.put_back().await;
            let _ = self.handle.pool.query("DELETE FROM runners WHERE id = $1", &[&Id(me)]).await;
        }
    }

    /// Ends with the stream: nobody listens, or the queue is gone.
    async fn feed(
        self: &Arc<Self>,
        deliver: &mpsc::Sender<Result<Delivery, Error>>,
        prefetch: u32,
        mut ended: watch::Receiver<bool>,
    ) {
        let bell_name = format!("m{}", self.queue);
        while !*ended.borrow() {
            let freed = self.freed.notified();
            let in_hand = u32::try_from(locked(&self.messages).len()).unwrap_or(u32::MAX);
            let free = prefetch.saturating_sub(in_hand);
            let (bell, is_told) = self.handle.bells.at(&bell_name);
            let mut ring = std::pin::pin!(bell.notified());
            ring.as_mut().enable();
            // With no place free nothing is taken, but the end of the queue is seen.
            match self.take(free.min(MOST_TAKEN)).await {
                Ok(some) if !some.is_empty() => {
                    // There is room: no more are in hand than the channel holds.
                    if some.into_iter().any(|delivery| deliver.try_send(Ok(delivery)).is_err()) {
                        return;
                    }
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    let passing = error.is_passing();
                    if deliver.try_send(Err(error)).is_err() || !passing {
                        return;
                    }
                }
            }
            if !is_told {
                let _ = self.handle.tell_bells().await;
            }
            let look = if is_told { LOOK_EVERY } else { FIRST_LOOK };
            tokio::select! {
                () = freed, if free == 0 => {}
                _ = timeout_at(Instant::now() + look, ring) => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
        }
    }

    async fn take(self: &Arc<Self>, most: u32) -> Result<Vec<Delivery>, Error> {
        let known: Vec<Id> = locked(&self.messages).keys().copied().map(Id).collect();
        let (session, most) = (self.handle.session(), int(most));
        let first: Option<Vec<Id>> = None;
        let rows = self
            .handle
            .pool
            .query_or_again(
                "SELECT * FROM take($1, $2, $3, $4, $5)",
                &[&session, &self.number, &first, &self.queue.as_str(), &most],
                &[&session, &self.number, &Some(known), &self.queue.as_str(), &most],
            )
            .await
            .map_err(|failure| of_queue(&self.queue, failure))?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in rows {
            let id = column::<Id>(&row, 0)?.0;
            let (attempt, deliveries_so_far) = (column(&row, 1)?, count(column(&row, 2)?));
            locked(&self.messages).insert(id, attempt);
            let message = message(id, column(&row, 3)?, column(&row, 4)?, column(&row, 5)?)?;
            let settle = Settling { hand: self.clone(), id, attempt };
            deliveries.push(Delivery::new(message, deliveries_so_far, deliveries_so_far > 1, settle));
        }
        Ok(deliveries)
    }

    /// What is in hand stays ours. Never ends.
    async fn hold(&self) {
        loop {
            tokio::time::sleep(Lease::LASTS / 3).await;
            let (ids, attempts): (Vec<Id>, Vec<i32>) =
                locked(&self.messages).iter().map(|(id, attempt)| (Id(*id), *attempt)).unzip();
            if !ids.is_empty() {
                let _ = self.handle.pool.query("SELECT hold($1, $2)", &[&ids, &attempts]).await;
            }
        }
    }

    async fn put_back(&self) {
        let in_hand: Vec<(JobId, i32)> = locked(&self.messages).drain().collect();
        let back =
            in_hand.into_iter().map(|(id, attempt)| (0, Settlement { id, attempt, what: 1, delay: 0 })).collect();
        self.settlements.run(back).await;
    }

    fn put_down(&self, id: JobId, attempt: i32) {
        let mut messages = locked(&self.messages);
        if messages.get(&id) == Some(&attempt) {
            messages.remove(&id);
        }
        drop(messages);
        self.freed.notify_one();
    }
}

/// The way back of one delivery.
struct Settling {
    hand: Arc<Hand>,
    id: JobId,
    attempt: i32,
}

impl Settling {
    fn say(self: Box<Self>, what: i16, delay: Duration) -> BoxFuture<'static, Result<(), Error>> {
        let hand = self.hand.clone();
        Box::pin(async move {
            let settled = async move {
                let (id, attempt) = (self.id, self.attempt);
                let settlement = Settlement { id, attempt, what, delay: millis(delay) };
                let answers = self.hand.settlements.run(vec![(0, settlement)]).await;
                self.hand.put_down(id, attempt);
                match answers.into_iter().next().unwrap_or(Err(Error::Closed))? {
                    true => Ok(()),
                    false => Err(Error::Stale),
                }
            };
            hand.io.run(settled).await
        })
    }
}

impl Settle for Settling {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        self.say(0, Duration::ZERO)
    }

    fn nack(self: Box<Self>, _: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        self.say(1, later(requeue))
    }

    fn replace(self: Box<Self>, message: Message, requeue: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        let hand = self.hand.clone();
        Box::pin(async move {
            hand.io
                .run(async move {
                    let meta = super::broker::meta(&message)?;
                    let (priority, delay) = (i16::from(message.priority.min(9)), millis(later(requeue)));
                    let params: &super::link::Params<'_> =
                        &[&Id(self.id), &self.attempt, &Id(message.id.0), &priority, &delay, &meta, &message.body];
                    let sql = "SELECT replace_message($1, $2, $3, $4, $5, $6, $7)";
                    let rows = self.hand.handle.pool.query(sql, params).await?;
                    self.hand.put_down(self.id, self.attempt);
                    if delay > 0 {
                        self.hand.handle.sweep.notify_one();
                    }
                    match rows.first().map_or(Ok(false), |row| column(row, 0))? {
                        true => Ok(()),
                        false => Err(Error::Stale),
                    }
                })
                .await
        })
    }

    fn reject(self: Box<Self>, _: Message) -> BoxFuture<'static, Result<(), Error>> {
        self.say(2, Duration::ZERO)
    }
}

fn later(requeue: Requeue) -> Duration {
    match requeue {
        Requeue::Now => Duration::ZERO,
        Requeue::After(time) => time,
    }
}

/// The stream of a consumer. When it is dropped, what is in hand goes back.
struct Deliveries {
    deliveries: mpsc::Receiver<Result<Delivery, Error>>,
    _consumer: oneshot::Sender<()>,
}

impl Stream for Deliveries {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.deliveries.poll_recv(context)
    }
}
