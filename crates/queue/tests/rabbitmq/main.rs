//! A real RabbitMQ that is killed, restarted and frozen; consumers that are killed; amqplib on the same queues; TLS; jobs.
//!
//! This program is at once the tests, and (when `TEST_PROGRAM` is set) the programs that they start.
//!
//! `cargo test -p phalanx-queue --features amqp --test rabbitmq [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod amqplib;
mod faults;
mod jobs;
mod programs;
mod tls;

use std::time::Duration;

use phalanx_brokers::RabbitMq;
use phalanx_queue::conformance::wait;
use phalanx_queue::{Consumer, Delivery, JobId, Queue, QueueName, QueueOptions};

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

/// Longer than anything here takes; reached only when something is broken.
const GIVE_UP: Duration = Duration::from_secs(60);

fn main() {
    phalanx_process::init().expect("init");
    if let Ok(program) = std::env::var("TEST_PROGRAM") {
        return programs::run(&program);
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let tests = [faults::TESTS, amqplib::TESTS, tls::TESTS, jobs::TESTS];
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in tests.into_iter().flatten().filter(|(name, _)| name.contains(&wanted)) {
        match std::panic::catch_unwind(test) {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(_) => {
                failed.push(*name);
                println!("test {name} ... FAILED");
            }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}

/// A broker for one test alone; `None`, with a line, where there is none.
fn broker() -> Option<RabbitMq> {
    let broker = RabbitMq::start().unwrap();
    missing(broker.is_none(), "RabbitMQ");
    broker
}

/// A broker that nobody kills: that of all tests, or one of our own.
struct Shared {
    url: String,
    _own: Option<RabbitMq>,
}

fn shared() -> Option<Shared> {
    if let Ok(url) = std::env::var("PHALANX_TEST_AMQP") {
        return Some(Shared { url, _own: None });
    }
    let own = broker()?;
    Some(Shared { url: own.url(), _own: Some(own) })
}

/// Says what is skipped, which in CI nothing is.
fn missing(is_missing: bool, what: &str) {
    if is_missing {
        assert!(std::env::var("CI").is_err(), "without {what}, and nothing is skipped in CI");
        println!("skipped without {what}");
    }
}

fn connect(url: &str) -> Queue {
    wait(Queue::connect(url)).unwrap()
}

/// A queue that nobody else has.
fn fresh(queue: &Queue) -> QueueName {
    let options = QueueOptions::new(format!("test-{}", JobId::new())).unwrap();
    wait(queue.declare(&options)).unwrap();
    options.name
}

fn next(consumer: &mut Consumer) -> Delivery {
    wait(consumer.next()).expect("the consumer ended").unwrap()
}
