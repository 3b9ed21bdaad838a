//! What becomes of a delivery is what its holder says.

use std::time::{Duration, Instant};

use super::fixture::{consume, expect_nothing_before, expect_silence, next, next_body, send, usual};
use super::{Harness, Power, cases};
use crate::conformance::wait;
use crate::{Error, Message, Requeue};

cases![
    an_acked_message_never_comes_again [],
    an_unsettled_message_comes_again_when_its_consumer_is_dropped [],
    a_delivery_that_is_dropped_comes_again_with_its_consumer [],
    a_message_that_is_handed_back_comes_again [],
    a_message_that_is_handed_back_for_later_comes_later [Can(Delay)],
    what_waits_for_its_time_keeps_nothing_else_waiting [Can(Delay)],
    another_message_comes_in_the_place_of_this_one [],
    another_message_comes_later_in_the_place_of_this_one [Can(Delay)],
    a_delivery_of_a_dropped_consumer_is_stale [],
];

fn an_acked_message_never_comes_again<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    wait(queue.send_batch(&name, vec!["first".into(), "second".into()])).unwrap();
    let mut consumer = consume(&queue, &name, 1);
    let acked = next_body(&mut consumer);
    drop(consumer);
    let mut consumer = consume(&queue, &name, 10);
    let other = next_body(&mut consumer);
    assert_ne!(acked, other);
    drop(consumer);
    let mut consumer = consume(&harness.connect(), &name, 10);
    expect_silence(&mut consumer);
}

fn an_unsettled_message_comes_again_when_its_consumer_is_dropped<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let message = Message::from("again").header("kept", "yes");
    send(&queue, &name, message.clone());
    let mut consumer = consume(&queue, &name, 10);
    let held = next(&mut consumer);
    drop(consumer);
    let mut consumer = consume(&harness.connect(), &name, 10);
    let again = next(&mut consumer);
    assert_eq!((again.message.id, &again.message.headers), (message.id, &message.headers));
    if harness.has(Power::CountsDeliveries) {
        assert_eq!((held.attempt, again.attempt, again.redelivered), (1, 2, true));
    }
    wait(again.ack()).unwrap();
}

fn a_delivery_that_is_dropped_comes_again_with_its_consumer<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, "dropped");
    let mut consumer = consume(&queue, &name, 10);
    drop(next(&mut consumer));
    drop(consumer);
    assert_eq!(next_body(&mut consume(&queue, &name, 10)), "dropped");
}

fn a_message_that_is_handed_back_comes_again<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let message = Message::from("back").header("kept", "yes");
    send(&queue, &name, message.clone());
    let mut consumer = consume(&queue, &name, 10);
    for attempt in 1..=3 {
        let delivery = next(&mut consumer);
        assert_eq!(delivery.message.body, message.body);
        assert_eq!(delivery.message.headers, message.headers);
        if harness.has(Power::CountsDeliveries) {
            assert_eq!((delivery.attempt, delivery.redelivered), (attempt, attempt > 1));
        }
        wait(delivery.nack(Requeue::Now)).unwrap();
    }
    assert_eq!(next_body(&mut consumer), "back");
    expect_silence(&mut consumer);
}

fn a_message_that_is_handed_back_for_later_comes_later<H: Harness>(harness: &H) {
    const LATER: Duration = Duration::from_millis(400);
    let queue = harness.connect();
    let name = usual(&queue);
    let message = Message::from("later").header("kept", "yes");
    send(&queue, &name, message.clone());
    let mut consumer = consume(&queue, &name, 10);
    for attempt in 1..=2 {
        let delivery = next(&mut consumer);
        assert_eq!((&delivery.message.body, &delivery.message.headers), (&message.body, &message.headers));
        assert_eq!(delivery.message.id, message.id);
        if harness.has(Power::CountsDeliveries) {
            assert_eq!(delivery.attempt, attempt);
        }
        let begun = Instant::now();
        wait(delivery.nack(Requeue::After(LATER))).unwrap();
        expect_nothing_before(&mut consumer, begun + LATER);
    }
    assert_eq!(next_body(&mut consumer), "later");
}

fn what_waits_for_its_time_keeps_nothing_else_waiting<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, "long");
    let mut consumer = consume(&queue, &name, 10);
    wait(next(&mut consumer).nack(Requeue::After(Duration::from_secs(600)))).unwrap();
    send(&queue, &name, "short");
    let short = next(&mut consumer);
    assert_eq!(short.message.body, b"short");
    wait(short.nack(Requeue::After(Duration::from_millis(200)))).unwrap();
    send(&queue, &name, "now");
    assert_eq!(next_body(&mut consumer), "now");
    assert_eq!(next_body(&mut consumer), "short");
}

fn another_message_comes_in_the_place_of_this_one<H: Harness>(harness: &H) {
    replaced(harness, Requeue::Now);
}

fn another_message_comes_later_in_the_place_of_this_one<H: Harness>(harness: &H) {
    replaced(harness, Requeue::After(Duration::from_millis(200)));
}

fn replaced<H: Harness>(harness: &H, requeue: Requeue) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, Message::from("job").header("errors", "0"));
    let mut consumer = consume(&queue, &name, 10);
    for errors in 1..=2_u32 {
        let delivery = next(&mut consumer);
        let mut message = delivery.message.clone();
        message.headers.insert("errors".to_owned(), errors.to_string().into_bytes());
        wait(delivery.replace(message, requeue)).unwrap();
    }
    let last = next(&mut consumer);
    assert_eq!(last.message.headers.get("errors").map(Vec::as_slice), Some(b"2".as_slice()));
    wait(last.ack()).unwrap();
    expect_silence(&mut consumer);
}

fn a_delivery_of_a_dropped_consumer_is_stale<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, "held");
    let mut consumer = consume(&queue, &name, 10);
    let held = next(&mut consumer);
    drop(consumer);
    let mut consumer = consume(&queue, &name, 10);
    let again = next(&mut consumer);
    assert_eq!(wait(held.ack()), Err(Error::Stale));
    wait(again.ack()).unwrap();
}
