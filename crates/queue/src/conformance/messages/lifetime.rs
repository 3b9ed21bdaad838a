//! Connections end, callers go away; messages stay.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::fixture::{consume, next, next_body, send, usual};
use super::{Harness, cases};
use crate::conformance::wait;
use crate::{Error, Message};

cases![
    messages_outlive_the_connections_of_their_senders [],
    a_closed_connection_ends_its_consumers_and_refuses_all_else [],
    a_caller_that_goes_away_harms_nobody [],
    a_caller_that_stops_waiting_for_a_message_loses_none [],
];

fn messages_outlive_the_connections_of_their_senders<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, "outlives");
    wait(queue.close());
    drop(queue);
    assert_eq!(next_body(&mut consume(&harness.connect(), &name, 1)), "outlives");
}

fn a_closed_connection_ends_its_consumers_and_refuses_all_else<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let mut consumer = consume(&queue, &name, 1);
    let mut waiting = pin!(consumer.next());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    wait(queue.close());
    assert!(matches!(wait(waiting), None | Some(Err(Error::Closed))));
    assert_eq!(wait(queue.send(&name, "late")), Err(Error::Closed));
    assert_eq!(wait(queue.consume(&name, 1)).map(drop), Err(Error::Closed));
    wait(queue.close());
}

fn a_caller_that_goes_away_harms_nobody<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..20 {
        let batch = (0..20).map(|_| Message::from("perhaps")).collect();
        let mut sending = pin!(queue.send_batch(&name, batch));
        let _ = sending.as_mut().poll(&mut context);
    }
    send(&queue, &name, "surely");
    let mut consumer = consume(&queue, &name, 50);
    while next_body(&mut consumer) != "surely" {}
}

fn a_caller_that_stops_waiting_for_a_message_loses_none<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let mut consumer = consume(&queue, &name, 10);
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..20_u32 {
        assert!(pin!(consumer.next()).poll(&mut context).is_pending());
        send(&queue, &name, number.to_string().as_str());
        let came = next(&mut consumer);
        assert_eq!(came.message.body, number.to_string().into_bytes());
        wait(came.ack()).unwrap();
    }
}
