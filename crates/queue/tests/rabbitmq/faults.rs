//! What is killed, restarted or frozen takes no confirmed message with it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use phalanx_queue::conformance::wait;
use phalanx_queue::{Error, Message, Queue, QueueName, Requeue};

use crate::{GIVE_UP, Test, broker, connect, fresh, next, shared};

pub(crate) const TESTS: &[Test] = &[
    ("a_killed_broker_loses_nothing_that_it_confirmed", a_killed_broker_loses_nothing_that_it_confirmed),
    ("what_a_consumer_held_when_the_broker_was_killed_is_stale_and_comes_again", what_a_consumer_held_is_stale),
    ("what_waits_in_a_rung_survives_the_broker", what_waits_in_a_rung_survives_the_broker),
    ("a_silent_broker_is_unavailable_until_it_speaks_again", a_silent_broker_is_unavailable),
    ("what_a_killed_consumer_held_comes_to_another", what_a_killed_consumer_held_comes_to_another),
    ("no_broker_is_said_within_the_deadline", no_broker_is_said_within_the_deadline),
];

const SENDERS: u32 = 3;
const EACH: u32 = 150;

/// Sends until it is confirmed; how often it had to be sent again.
fn send_surely(queue: &Queue, name: &QueueName, message: &Message) -> u32 {
    let mut again = 0;
    loop {
        match wait(queue.send(name, message.clone())) {
            Ok(()) => return again,
            Err(error) => assert!(error.is_passing(), "{error:?}"),
        }
        again += 1;
    }
}

fn a_killed_broker_loses_nothing_that_it_confirmed() {
    let Some(mut rabbit) = broker() else { return };
    let url = rabbit.url();
    let queue = connect(&url);
    let name = fresh(&queue);
    let (confirmed_tell, confirmed) = mpsc::channel();
    let (came_tell, came) = mpsc::channel();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (queue, name, tell) = (&queue, &name, confirmed_tell.clone());
            scope.spawn(move || {
                for number in 0..EACH {
                    let number = sender * EACH + number;
                    let again = send_surely(queue, name, &Message::from(number.to_string().as_str()));
                    tell.send((number, again)).unwrap();
                }
            });
        }
        let consuming = connect(&url);
        scope.spawn({
            let (consuming, name) = (consuming.clone(), &name);
            move || {
                let mut consumer = wait(consuming.consume(name, 20)).unwrap();
                while let Some(delivery) = wait(consumer.next()) {
                    let delivery = delivery.unwrap();
                    let number: u32 = String::from_utf8_lossy(&delivery.message.body).parse().unwrap();
                    if wait(delivery.ack()).is_ok() && came_tell.send(number).is_err() {
                        return;
                    }
                }
            }
        });
        let mut surely = BTreeSet::new();
        let (mut resent, mut repeated) = (0, 0);
        let mut took = |surely: &mut BTreeSet<u32>, until: usize| {
            while surely.len() < until {
                let (number, again) = confirmed.recv_timeout(GIVE_UP).expect("a sender hangs");
                surely.insert(number);
                resent += again;
            }
        };
        let all = (SENDERS * EACH) as usize;
        for part in [all / 3, 2 * all / 3] {
            took(&mut surely, part);
            rabbit.kill_hard().unwrap();
            rabbit.restart().unwrap();
        }
        took(&mut surely, all);
        let mut seen = BTreeSet::new();
        while seen.len() < all {
            repeated += u32::from(!seen.insert(came.recv_timeout(GIVE_UP).expect("a confirmed message is lost")));
        }
        println!("two kills: {all} messages, {resent} sent again, {repeated} came twice");
        wait(consuming.close());
    });
}

fn what_a_consumer_held_is_stale() {
    let Some(mut rabbit) = broker() else { return };
    let queue = connect(&rabbit.url());
    let name = fresh(&queue);
    wait(queue.send(&name, "held")).unwrap();
    let mut consumer = wait(queue.consume(&name, 5)).unwrap();
    let held = next(&mut consumer);
    rabbit.kill_hard().unwrap();
    rabbit.restart().unwrap();
    // The stream goes on by itself.
    let again = next(&mut consumer);
    assert_eq!(again.message.id, held.message.id);
    assert!(again.redelivered);
    assert_eq!(wait(held.ack()), Err(Error::Stale));
    wait(again.ack()).unwrap();
}

fn what_waits_in_a_rung_survives_the_broker() {
    let Some(mut rabbit) = broker() else { return };
    let queue = connect(&rabbit.url());
    let name = fresh(&queue);
    let messages = (0..20).map(|number| Message::from(number.to_string().as_str())).collect();
    wait(queue.send_batch(&name, messages)).unwrap();
    let mut consumer = wait(queue.consume(&name, 20)).unwrap();
    for delivery in (0..20).map(|_| next(&mut consumer)).collect::<Vec<_>>() {
        wait(delivery.nack(Requeue::After(Duration::from_secs(1)))).unwrap();
    }
    rabbit.kill_hard().unwrap();
    rabbit.restart().unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 20 {
        let delivery = next(&mut consumer);
        seen.insert(delivery.message.body.clone());
        wait(delivery.ack()).unwrap();
    }
}

fn a_silent_broker_is_unavailable() {
    let Some(rabbit) = broker() else { return };
    let queue = connect(&format!("{}?heartbeat=2", rabbit.url()));
    let name = fresh(&queue);
    wait(queue.send(&name, "before")).unwrap();
    rabbit.freeze().unwrap();
    let unavailable = wait(queue.send(&name, "into the silence"));
    assert!(matches!(unavailable, Err(Error::Unavailable { .. })), "{unavailable:?}");
    rabbit.thaw().unwrap();
    wait(queue.send(&name, "after")).unwrap();
    let mut consumer = wait(queue.consume(&name, 1)).unwrap();
    loop {
        let delivery = next(&mut consumer);
        let is_last = delivery.message.body == b"after";
        wait(delivery.ack()).unwrap();
        if is_last {
            return;
        }
    }
}

fn what_a_killed_consumer_held_comes_to_another() {
    let Some(rabbit) = shared() else { return };
    let queue = connect(&rabbit.url);
    let name = fresh(&queue);
    wait(queue.send_batch(&name, (0..10).map(|_| Message::from("held")).collect())).unwrap();
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.env("TEST_PROGRAM", "holder").env("TEST_URL", &rabbit.url).env("TEST_QUEUE", name.as_str());
    let mut holder = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held 10\n");
    let mut consumer = wait(queue.consume(&name, 10)).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    for _ in 0..10 {
        let delivery = next(&mut consumer);
        assert_eq!((delivery.attempt, delivery.redelivered), (2, true));
        wait(delivery.ack()).unwrap();
    }
}

fn no_broker_is_said_within_the_deadline() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = wait(Queue::connect(&format!("amqp://127.0.0.1:{port}")));
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
}
