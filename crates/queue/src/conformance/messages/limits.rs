//! Nothing grows without a bound: not what is in our hands, not what waits.

use std::time::{Duration, Instant};

use super::fixture::{consume, declare, expect_silence, fresh, next, next_body, send, usual};
use super::{Harness, cases};
use crate::conformance::{GIVE_UP, wait};
use crate::{Error, Message};

cases![
    no_more_than_the_prefetch_is_in_our_hands [],
    a_full_queue_refuses_until_there_is_room [Can(Bound)],
    a_queue_that_holds_too_many_bytes_refuses [Can(Bound)],
];

fn no_more_than_the_prefetch_is_in_our_hands<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    wait(queue.send_batch(&name, (0..5).map(|number| Message::from(number.to_string().as_str())).collect())).unwrap();
    let mut consumer = consume(&queue, &name, 3);
    let mut held: Vec<_> = (0..3).map(|_| next(&mut consumer)).collect();
    expect_silence(&mut consumer);
    wait(held.remove(0).ack()).unwrap();
    held.push(next(&mut consumer));
    expect_silence(&mut consumer);
    for delivery in held {
        wait(delivery.ack()).unwrap();
    }
    next_body(&mut consumer);
}

fn a_full_queue_refuses_until_there_is_room<H: Harness>(harness: &H) {
    const LIMIT: u64 = 10;
    let queue = harness.connect();
    let name = declare(&queue, &fresh().max_messages(LIMIT));
    let most = LIMIT + harness.most_over();
    let mut taken = 0;
    let refusal = loop {
        match wait(queue.send(&name, "one more")) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken <= most, "{taken} were taken of {LIMIT}");
    };
    assert!(taken >= LIMIT, "only {taken} were taken of {LIMIT}");
    let Error::Full { queue: which, waiting, limit, .. } = &refusal else { panic!("{refusal:?}") };
    assert_eq!((which.as_str(), *limit), (name.as_str(), LIMIT));
    assert!((LIMIT..=most).contains(waiting), "{refusal:?}");
    let mut consumer = consume(&queue, &name, 1);
    for _ in 0..=harness.most_over() {
        next_body(&mut consumer);
    }
    drop(consumer);
    let end = Instant::now() + GIVE_UP;
    // A broker may find out a moment later that there is room.
    while let Err(error) = wait(queue.send(&name, "room")) {
        assert!(matches!(error, Error::Full { .. }) && Instant::now() < end, "{error:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_queue_that_holds_too_many_bytes_refuses<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = declare(&queue, &fresh().max_bytes(100_000));
    let mut taken = 0;
    let refusal = loop {
        match wait(queue.send(&name, vec![7_u8; 20_000])) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken <= 5 + harness.most_over(), "{taken} × 20 000 bytes were taken of 100 000");
    };
    assert!(matches!(refusal, Error::Full { .. }), "{refusal:?}");
    assert!(taken >= 3, "only {taken} × 20 000 bytes were taken of 100 000");
    send(&queue, &usual(&queue), vec![7_u8; 20_000]);
}
