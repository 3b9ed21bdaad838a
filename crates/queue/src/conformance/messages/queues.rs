//! Queues are made, counted, looked at, emptied and removed.

use std::time::{Duration, Instant};

use super::fixture::{consume, declare, expect_silence, fresh, next, next_body, send, usual};
use super::{Harness, cases};
use crate::conformance::{GIVE_UP, wait};
use crate::{Capability, Error, Message, Queue, QueueName, Requeue};

cases![
    declaring_a_queue_again_changes_nothing [],
    declaring_a_queue_with_other_properties_is_an_error [Has(Mismatch)],
    a_queue_that_nobody_declared_is_an_error [Has(KnowsItsQueues)],
    what_waits_is_counted [Can(Stats)],
    looking_at_what_waits_takes_nothing [Can(Peek)],
    a_purged_queue_is_empty [Can(Purge)],
    what_waits_for_its_time_is_purged_too [Can(Purge), Can(Delay)],
    a_deleted_queue_is_gone_and_comes_back_empty [Has(KnowsItsQueues)],
    what_it_cannot_do_it_says [],
];

fn declaring_a_queue_again_changes_nothing<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let options = fresh();
    let name = declare(&queue, &options);
    send(&queue, &name, "kept");
    declare(&queue, &options);
    declare(&harness.connect(), &options);
    assert_eq!(next_body(&mut consume(&queue, &name, 1)), "kept");
}

fn declaring_a_queue_with_other_properties_is_an_error<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let options = fresh();
    let name = declare(&queue, &options);
    let other = options.dead_letter(QueueName::new(format!("{name}.other")).unwrap());
    match wait(queue.declare(&other)) {
        Err(Error::Mismatch { queue, .. }) => assert_eq!(queue, name.as_str()),
        other => panic!("{other:?}"),
    }
    send(&queue, &name, "still there");
    assert_eq!(next_body(&mut consume(&queue, &name, 1)), "still there");
}

fn a_queue_that_nobody_declared_is_an_error<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = fresh().name;
    let missing = Error::NoSuchQueue { queue: name.to_string() };
    assert_eq!(wait(queue.send(&name, "lost")), Err(missing.clone()));
    let batch = (0..50).map(|_| Message::from("lost")).collect();
    assert_eq!(wait(queue.send_batch(&name, batch)), Err(missing.clone()));
    assert_eq!(wait(queue.consume(&name, 1)).map(drop), Err(missing.clone()));
    if queue.broker().can(Capability::Stats) {
        assert_eq!(wait(queue.stats(&name)), Err(missing));
    }
    let there = usual(&queue);
    send(&queue, &there, "not lost");
    assert_eq!(next_body(&mut consume(&queue, &there, 1)), "not lost");
}

/// Counting may lag behind what was confirmed.
fn ready_becomes(queue: &Queue, name: &QueueName, expected: u64) {
    let end = Instant::now() + GIVE_UP;
    loop {
        let stats = wait(queue.stats(name)).unwrap();
        assert_eq!(stats.queue, name.as_str());
        if stats.ready == expected {
            return;
        }
        assert!(Instant::now() < end, "{expected} should wait: {stats:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn what_waits_is_counted<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    ready_becomes(&queue, &name, 0);
    wait(queue.send_batch(&name, (0..7).map(|_| Message::from("waits")).collect())).unwrap();
    ready_becomes(&queue, &name, 7);
    let mut consumer = consume(&queue, &name, 1);
    next_body(&mut consumer);
    next_body(&mut consumer);
    drop(consumer);
    ready_becomes(&queue, &name, 5);
}

fn looking_at_what_waits_takes_nothing<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let one_after_the_other = |body: &str| Message::from(body).key("one");
    wait(queue.send_batch(&name, ["a", "b", "c"].map(one_after_the_other).to_vec())).unwrap();
    for _ in 0..2 {
        let seen = wait(queue.broker().peek(&name, 2)).unwrap();
        let bodies: Vec<&[u8]> = seen.iter().map(|message| message.body.as_slice()).collect();
        assert_eq!(bodies, [b"a", b"b"]);
    }
    let mut consumer = consume(&queue, &name, 1);
    for body in ["a", "b", "c"] {
        assert_eq!(next_body(&mut consumer), body);
    }
}

fn a_purged_queue_is_empty<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    wait(queue.send_batch(&name, (0..9).map(|_| Message::from("gone")).collect())).unwrap();
    assert_eq!(wait(queue.broker().purge(&name)), Ok(9));
    let mut consumer = consume(&queue, &name, 10);
    expect_silence(&mut consumer);
    send(&queue, &name, "after");
    assert_eq!(next_body(&mut consumer), "after");
}

fn what_waits_for_its_time_is_purged_too<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    send(&queue, &name, "later");
    let mut consumer = consume(&queue, &name, 10);
    wait(next(&mut consumer).nack(Requeue::After(Duration::from_secs(600)))).unwrap();
    assert_eq!(wait(harness.connect().broker().purge(&name)), Ok(1));
}

fn a_deleted_queue_is_gone_and_comes_back_empty<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let options = fresh();
    let name = declare(&queue, &options);
    send(&queue, &name, "gone");
    let mut consumer = consume(&queue, &name, 1);
    let held = next(&mut consumer);
    wait(queue.broker().delete(&name)).unwrap();
    assert!(matches!(wait(queue.send(&name, "lost")), Err(Error::NoSuchQueue { .. })));
    match wait(consumer.next()) {
        None | Some(Err(Error::NoSuchQueue { .. })) => {}
        other => panic!("{other:?}"),
    }
    drop((held, consumer));
    declare(&queue, &options);
    let mut consumer = consume(&queue, &name, 1);
    expect_silence(&mut consumer);
    send(&queue, &name, "new");
    assert_eq!(next_body(&mut consumer), "new");
}

fn what_it_cannot_do_it_says<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let broker = queue.broker();
    let name = usual(&queue);
    let says = |capability: Capability, result: Result<(), Error>| {
        let expected = matches!(result, Err(Error::Unsupported { capability: which, .. }) if which == capability);
        assert!(broker.can(capability) || expected, "{capability:?}: {result:?}");
    };
    says(Capability::Stats, wait(broker.stats(&name)).map(drop));
    says(Capability::Peek, wait(broker.peek(&name, 1)).map(drop));
    says(Capability::Purge, wait(broker.purge(&name)).map(drop));
    says(Capability::Reply, wait(broker.open_replies()).map(drop));
    if !broker.can(Capability::Delay) {
        send(&queue, &name, "now or never");
        let mut consumer = consume(&queue, &name, 1);
        let delivery = next(&mut consumer);
        says(Capability::Delay, wait(delivery.nack(Requeue::After(Duration::from_secs(1)))));
    }
}
