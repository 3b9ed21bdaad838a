//! Queues: made, counted, emptied, removed. Each call has a channel of its own, because RabbitMQ closes the channel of a call that it
//! refuses.

use std::future::Future;
use std::time::{Duration, Instant};

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Queue};

use super::link::Link;
use super::{NAME, failure};
use crate::io::within;
use crate::{Error, QueueOptions};

/// A quorum queue that is killed with its broker before this age does not come back, with all that it had confirmed: Ra (2.2 in
/// RabbitMQ 3.10, `ra_directory.erl`) writes the names of its servers to disk when their table was left alone for 500 ms.
const INFANCY: Duration = Duration::from_secs(1);
/// One try: all of these may be repeated.
const TRY: Duration = Duration::from_secs(5);
/// Between two tries of a call that may be repeated.
const PAUSE: Duration = Duration::from_millis(100);
const OK: u16 = 200;

/// Does this on a channel of its own, again and again while RabbitMQ is not there, at most until then.
pub(super) async fn on_a_channel<T, F>(
    link: &Link,
    queue: &str,
    until: Instant,
    work: impl Fn(Channel) -> F,
) -> Result<T, Error>
where
    F: Future<Output = lapin::Result<T>>,
{
    loop {
        let live = link.live(until).await?;
        let attempt = async {
            let channel = live.connection.create_channel().await?;
            let result = work(channel.clone()).await;
            if result.is_ok() {
                let _ = channel.close(OK, "OK".into()).await;
            }
            result
        };
        let left = until.saturating_duration_since(Instant::now()).min(TRY);
        let error = match within(link.io().handle(), left, attempt).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => failure::of_queue(&error, queue),
            Err(_) => Error::unavailable(NAME, "it did not answer in time"),
        };
        if !error.is_passing() || Instant::now() + PAUSE > until {
            return Err(error);
        }
        link.suspect();
        let pause = within(link.io().handle(), PAUSE, std::future::pending::<()>());
        let _ = pause.await;
    }
}

/// Makes a queue with these arguments, unless it is there.
pub(super) async fn declare(link: &Link, queue: &str, arguments: FieldTable, until: Instant) -> Result<(), Error> {
    on_a_channel(link, queue, until, |channel| {
        let arguments = arguments.clone();
        async move { channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await.map(drop) }
    })
    .await
}

/// Whether a queue had to be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Now,
    Before,
}

/// As [`declare`]; a new one is not to be used before [`of_age`].
pub(super) async fn provide(link: &Link, queue: &str, arguments: FieldTable, until: Instant) -> Result<Made, Error> {
    let made = match look(link, queue, until).await {
        Ok(_) => Made::Before,
        Err(Error::NoSuchQueue { .. }) => Made::Now,
        Err(error) => return Err(error),
    };
    declare(link, queue, arguments, until).await?;
    Ok(made)
}

/// Waits until queues that were made just now survive that their broker is killed.
pub(super) async fn of_age(link: &Link) {
    let _ = within(link.io().handle(), INFANCY, std::future::pending::<()>()).await;
}

/// What is known of a queue that is there.
pub(super) async fn look(link: &Link, queue: &str, until: Instant) -> Result<Queue, Error> {
    on_a_channel(link, queue, until, |channel| async move {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), passive, FieldTable::default()).await
    })
    .await
}

/// Empties a queue: how many waited.
pub(super) async fn purge(link: &Link, queue: &str, until: Instant) -> Result<u64, Error> {
    on_a_channel(link, queue, until, |channel| async move {
        channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await.map(u64::from)
    })
    .await
}

/// Removes these. One that is not there is removed too, to RabbitMQ.
pub(super) async fn delete(link: &Link, queues: &[String], until: Instant) -> Result<(), Error> {
    let first = queues.first().map_or("", String::as_str);
    on_a_channel(link, first, until, |channel| async move {
        for queue in queues {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    })
    .await
}

/// A quorum queue as these options have it.
pub(super) fn arguments(options: &QueueOptions) -> FieldTable {
    let mut table = bounded_quorum(options.max_messages, options.max_bytes);
    // The first delivery is none of those that RabbitMQ counts.
    table.insert("x-delivery-limit".into(), number(options.max_deliveries.saturating_sub(1).into()));
    if let Some(dead_letter) = &options.dead_letter {
        forward_to(&mut table, dead_letter.as_str());
    }
    table
}

/// A quorum queue that refuses what is more than this.
pub(super) fn bounded_quorum(max_messages: u64, max_bytes: u64) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-overflow".into(), text("reject-publish"));
    table.insert("x-max-length".into(), number(max_messages));
    table.insert("x-max-length-bytes".into(), number(max_bytes));
    table
}

/// Dead letters go to that queue; none is lost on the way, whatever is killed.
pub(super) fn forward_to(table: &mut FieldTable, queue: &str) {
    table.insert("x-dead-letter-exchange".into(), text(""));
    table.insert("x-dead-letter-routing-key".into(), text(queue));
    table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
}

pub(super) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(super) fn number(value: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX))
}
