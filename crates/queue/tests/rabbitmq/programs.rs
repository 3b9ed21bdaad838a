//! The programs that the tests start, by their names.

use std::io::Write;

use phalanx_queue::QueueName;

use crate::{connect, next};

/// Of whom `TEST_URL` and `TEST_QUEUE` say where.
pub(crate) fn run(name: &str) {
    let variable = |name| std::env::var(name).unwrap();
    let queue = connect(&variable("TEST_URL"));
    let from = QueueName::new(variable("TEST_QUEUE")).unwrap();
    match name {
        "holder" => holder(&queue, &from),
        _ => panic!("no such program: {name}"),
    }
}

/// Takes ten messages, says so, and does nothing with them.
fn holder(queue: &phalanx_queue::Queue, from: &QueueName) {
    let mut consumer = phalanx_queue::conformance::wait(queue.consume(from, 10)).unwrap();
    let held: Vec<_> = (0..10).map(|_| next(&mut consumer)).collect();
    println!("held {}", held.len());
    std::io::stdout().flush().unwrap();
    std::thread::sleep(crate::GIVE_UP);
}
