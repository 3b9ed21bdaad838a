//! What the cases share: fresh queues, and taking what comes.

use std::time::{Duration, Instant};

use crate::conformance::waiting::{wait, within};
use crate::{Consumer, Delivery, JobId, Message, Queue, QueueName, QueueOptions};

/// How long nothing comes before we believe that nothing will.
const SILENCE: Duration = Duration::from_millis(700);

/// Options of a queue that nobody else has.
pub(super) fn fresh() -> QueueOptions {
    QueueOptions::new(format!("conformance-{}", JobId::new())).unwrap()
}

/// Makes such a queue.
pub(super) fn declare(queue: &Queue, options: &QueueOptions) -> QueueName {
    wait(queue.declare(options)).unwrap();
    options.name.clone()
}

/// A queue of the usual kind.
pub(super) fn usual(queue: &Queue) -> QueueName {
    declare(queue, &fresh())
}

/// A queue, and where its dead letters go.
pub(super) fn with_dead_letters(queue: &Queue, options: QueueOptions) -> (QueueName, QueueName) {
    let dead = QueueName::new(format!("{}.dead", options.name)).unwrap();
    (declare(queue, &options.dead_letter(dead.clone())), dead)
}

pub(super) fn send(queue: &Queue, name: &QueueName, message: impl Into<Message>) {
    wait(queue.send(name, message)).unwrap();
}

pub(super) fn consume(queue: &Queue, name: &QueueName, prefetch: u32) -> Consumer {
    wait(queue.consume(name, prefetch)).unwrap()
}

/// The next delivery.
pub(super) fn next(consumer: &mut Consumer) -> Delivery {
    wait(consumer.next()).expect("the consumer ended").unwrap()
}

/// The body of the next delivery, which is acked.
pub(super) fn next_body(consumer: &mut Consumer) -> String {
    let delivery = next(consumer);
    let body = String::from_utf8_lossy(&delivery.message.body).into_owned();
    wait(delivery.ack()).unwrap();
    body
}

/// Nothing comes.
pub(super) fn expect_silence(consumer: &mut Consumer) {
    if let Some(next) = within(SILENCE, consumer.next()) {
        panic!("{next:?} came, and nothing should have");
    }
}

/// Nothing comes before this moment.
pub(super) fn expect_nothing_before(consumer: &mut Consumer, moment: Instant) {
    let left = moment.saturating_duration_since(Instant::now());
    if let Some(next) = within(left, consumer.next()) {
        panic!("{next:?} came too early");
    }
}
