//! Messages that nobody can work on leave the queue.

use super::fixture::{consume, declare, expect_silence, fresh, next, next_body, send, with_dead_letters};
use super::{Harness, cases};
use crate::conformance::wait;
use crate::{Message, Requeue};

cases![
    a_rejected_message_goes_to_the_dead_letter_queue [Can(DeadLetter)],
    a_message_that_is_delivered_too_often_goes_to_the_dead_letter_queue [Can(DeadLetter), Has(CountsDeliveries)],
    waiting_between_deliveries_does_not_make_a_message_immortal [Can(DeadLetter), Can(Delay), Has(CountsDeliveries)],
    a_rejected_message_without_a_dead_letter_queue_is_gone [],
];

fn a_rejected_message_goes_to_the_dead_letter_queue<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let (name, dead) = with_dead_letters(&queue, fresh());
    let message = Message::from("bad").header("kept", "yes");
    send(&queue, &name, message.clone());
    let mut consumer = consume(&queue, &name, 10);
    wait(next(&mut consumer).reject()).unwrap();
    let mut graves = consume(&queue, &dead, 10);
    let found = next(&mut graves);
    assert_eq!(found.message.body, message.body);
    assert_eq!(found.message.headers.get("kept"), message.headers.get("kept"));
    wait(found.ack()).unwrap();
    expect_silence(&mut consumer);
}

fn a_message_that_is_delivered_too_often_goes_to_the_dead_letter_queue<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let (name, dead) = with_dead_letters(&queue, fresh().max_deliveries(3));
    send(&queue, &name, "poison");
    let mut consumer = consume(&queue, &name, 10);
    for _ in 0..3 {
        wait(next(&mut consumer).nack(Requeue::Now)).unwrap();
    }
    assert_eq!(next_body(&mut consume(&queue, &dead, 10)), "poison");
    expect_silence(&mut consumer);
}

fn waiting_between_deliveries_does_not_make_a_message_immortal<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let (name, dead) = with_dead_letters(&queue, fresh().max_deliveries(3));
    send(&queue, &name, "poison");
    let mut consumer = consume(&queue, &name, 10);
    for _ in 0..3 {
        wait(next(&mut consumer).nack(Requeue::After(std::time::Duration::from_millis(100)))).unwrap();
    }
    assert_eq!(next_body(&mut consume(&queue, &dead, 10)), "poison");
    expect_silence(&mut consumer);
}

fn a_rejected_message_without_a_dead_letter_queue_is_gone<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = declare(&queue, &fresh());
    send(&queue, &name, "bad");
    let mut consumer = consume(&queue, &name, 10);
    wait(next(&mut consumer).reject()).unwrap();
    expect_silence(&mut consumer);
    drop(consumer);
    expect_silence(&mut consume(&queue, &name, 10));
}
