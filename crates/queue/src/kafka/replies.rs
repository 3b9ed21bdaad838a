//! Answers: all handles share the topic `phalanx.replies`, each reads one partition of it from where it ended when the handle began, and
//! takes what bears its id. So no topic is left behind by a program that was killed; what was answered to it goes after an hour.

use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use futures_core::Stream;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc as hand;

use super::context::Context;
use super::producer::Record;
use super::record::{self, Carried};
use super::settings::CALL_DEADLINE;
use super::shared::{Running, Shared};
use super::topics::Purpose;
use super::{BROKER, errors};
use crate::{BoxFuture, Consumer, Delivery, Error, JobId, Message, Requeue, Settle};

const TOPIC: &str = "phalanx.replies";
/// Each handle reads the answers to one in so many.
const PARTITIONS: i32 = 16;
/// The handle that is answered.
const TO: &str = "phalanx-reply-to";
/// Answers that wait for the handle; more wait at the broker.
const AHEAD: usize = 1000;
const TICK: Duration = Duration::from_millis(100);

/// Where answers to a handle go: `phalanx.replies/PARTITION/ID`.
struct Address {
    partition: i32,
    id: String,
}

impl Address {
    fn parse(address: &str) -> Option<Address> {
        let (partition, id) = address.strip_prefix(TOPIC)?.strip_prefix('/')?.split_once('/')?;
        Some(Address { partition: partition.parse().ok()?, id: id.to_owned() })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{TOPIC}/{}/{}", self.partition, self.id)
    }
}

/// Sends an answer. Where nobody listens any more, nobody hears it.
pub(super) async fn reply(shared: &Shared, address: &str, message: Message) -> Result<(), Error> {
    // The address of another broker, or of none: whoever it was is not there.
    let Some(address) = Address::parse(address) else { return Ok(()) };
    let message = message.header(TO, address.id);
    let mut record = Record::new(TOPIC, &message, Carried::default());
    record.partition = Some(address.partition);
    match shared.producer.send_records(std::iter::once(record)).await {
        Err(Error::NoSuchQueue { .. }) => Ok(()),
        sent => sent,
    }
}

/// Begins to listen.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<(String, Consumer), Error> {
    let keeper = Arc::clone(shared);
    let wanted = [(TOPIC.to_owned(), PARTITIONS, Purpose::Replies)];
    shared.aside_async(async move { keeper.topics.make(&wanted).await }).await?;
    shared.aside(listen).await
}

fn listen(shared: &Arc<Shared>) -> Result<(String, Consumer), Error> {
    let wrong = |error| errors::of_topic(&error, TOPIC, 0);
    let id = JobId::new();
    let partitions = shared.topics.partitions(TOPIC)?;
    let turn = usize::from(id.as_bytes()[15]) % partitions.len().max(1);
    let partition = partitions.get(turn).copied().unwrap_or(0);
    let reader: BaseConsumer<Context> = shared.topics.reader(&shared.settings.reader("phalanx.replies"))?;
    // From its end as it is now: the address is not known to anybody before.
    let (_, end) = reader.fetch_watermarks(TOPIC, partition, CALL_DEADLINE).map_err(wrong)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(TOPIC, partition, Offset::Offset(end)).map_err(wrong)?;
    reader.assign(&list).map_err(wrong)?;
    let address = Address { partition, id: id.to_string() };
    let (out, answers) = hand::channel(AHEAD);
    let (stop, stopped) = mpsc::channel();
    let stopper = stop.clone();
    let running = shared.begin(move || stopper.send(()).unwrap_or_default())?;
    let line = Line { shared: Arc::clone(shared), address: address.to_string(), id: address.id.clone(), out };
    std::thread::Builder::new()
        .name("kafka-replies".to_owned())
        .spawn(move || line.read(&reader, &stopped, &running))
        .map_err(|error| Error::unavailable(BROKER, format_args!("cannot start a thread: {error}")))?;
    Ok((address.to_string(), Consumer::new(Answers { answers, _stop: stop })))
}

/// The thread's part.
struct Line {
    shared: Arc<Shared>,
    address: String,
    id: String,
    out: hand::Sender<Result<Delivery, Error>>,
}

impl Line {
    fn read(self, reader: &BaseConsumer<Context>, stopped: &mpsc::Receiver<()>, _: &Running) {
        while !self.out.is_closed() && matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Empty)) {
            let message = match reader.poll(TICK) {
                Some(Ok(record)) => record::message(&record).0,
                Some(Err(error)) => {
                    tracing::debug!("answers: {error}");
                    continue;
                }
                None => continue,
            };
            if message.headers.get(TO).is_none_or(|to| to != self.id.as_bytes()) {
                continue;
            }
            let again = Again { shared: Arc::clone(&self.shared), address: self.address.clone() };
            let mut waits = Ok(Delivery::new(message, 1, false, again));
            // Waits while the handle has enough, and looks whether it is still there.
            while let Err(hand::error::TrySendError::Full(full)) = self.out.try_send(waits) {
                if stopped.recv_timeout(TICK).is_ok() {
                    return;
                }
                waits = full;
            }
        }
    }
}

/// The stream of answers; the thread ends with it.
struct Answers {
    answers: hand::Receiver<Result<Delivery, Error>>,
    _stop: mpsc::Sender<()>,
}

impl Stream for Answers {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Option<Self::Item>> {
        self.answers.poll_recv(waker)
    }
}

/// The way back of an answer: nothing is kept, so there is nothing to settle.
struct Again {
    shared: Arc<Shared>,
    address: String,
}

impl Settle for Again {
    fn ack(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn nack(self: Box<Self>, message: Message, _: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { reply(&self.shared, &self.address, message).await })
    }

    fn replace(self: Box<Self>, message: Message, _: Requeue) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { reply(&self.shared, &self.address, message).await })
    }

    fn reject(self: Box<Self>, _: Message) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_a_foreign_one_is_none() {
        let address = Address { partition: 3, id: "abc".to_owned() };
        let read = Address::parse(&address.to_string()).unwrap();
        assert_eq!((read.partition, read.id.as_str()), (3, "abc"));
        assert!(Address::parse("amq.rabbitmq.reply-to.g1").is_none());
        assert!(Address::parse("phalanx.replies/x/y").is_none());
    }
}
