//! Things break, and nothing is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use phalanx_brokers::Kafka;
use phalanx_queue::conformance::{GIVE_UP, wait};
use phalanx_queue::{Error, Message, Queue, QueueName};

use crate::programs::{Program, TRIED, connect, drain, fresh};

/// After the members of a group have changed, so long nothing may come though there is something.
const SETTLED: Duration = Duration::from_secs(6);

fn numbers(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

/// What programs have tried to ack, and what they have acked, once each.
fn tried_and_acked(lines: Vec<String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (tried, acked): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with(TRIED));
    let tried = tried.iter().filter_map(|line| line.strip_prefix(TRIED)).map(str::to_owned).collect();
    let once: BTreeSet<String> = acked.iter().cloned().collect();
    assert_eq!(once.len(), acked.len(), "some were acked twice");
    (tried, once)
}

fn send(queue: &Queue, name: &QueueName, bodies: impl IntoIterator<Item = String>) {
    wait(queue.send_batch(name, bodies.into_iter().map(|body| Message::new(body.into_bytes())).collect())).unwrap();
}

pub(crate) fn killed_consumer(url: &str) {
    let queue = connect(url);
    let options = fresh("killed");
    wait(queue.declare(&options)).unwrap();
    send(&queue, &options.name, (0..600).map(|number| number.to_string()));
    let program = Program::start("two of three", url, &options.name);
    let mut lines: Vec<String> = (0..250).filter_map(|_| program.line()).collect();
    lines.extend(program.kill());
    let (tried, acked) = tried_and_acked(lines);
    assert!(acked.len() > 60, "only {} were acked", acked.len());
    let mut consumer = wait(queue.consume(&options.name, 100)).unwrap();
    let came = drain(&mut consumer, SETTLED);
    let unique: BTreeSet<String> = came.iter().cloned().collect();
    assert_eq!(unique.len(), came.len(), "some came twice to one consumer");
    let again: Vec<_> = unique.intersection(&acked).collect();
    assert!(again.is_empty(), "{again:?} were acked, and came again");
    let all: BTreeSet<String> = unique.union(&acked).cloned().collect();
    let lost: Vec<_> = numbers(0..600).difference(&all).cloned().collect();
    assert!(lost.iter().all(|body| tried.contains(body)), "{lost:?} are lost");
}

pub(crate) fn poison(url: &str) {
    let queue = connect(url);
    let dead = QueueName::new(fresh("dead").name.to_string()).unwrap();
    let options = fresh("poison").max_deliveries(4).dead_letter(dead.clone()).partitions(1);
    wait(queue.declare(&options)).unwrap();
    let bodies = (0..5)
        .map(|number| number.to_string())
        .chain(["poison".to_owned()])
        .chain((5..20).map(|number| number.to_string()));
    send(&queue, &options.name, bodies);
    let (mut worked, mut deaths) = (BTreeSet::new(), 0);
    loop {
        let lines = Program::start("fragile", url, &options.name).ended();
        worked.extend(lines.iter().filter(|line| line.parse::<u32>().is_ok()).cloned());
        deaths += u32::from(lines.iter().any(|line| line.starts_with("poison")));
        assert!(deaths <= 5, "the poison has killed {deaths} consumers, and 4 deliveries are allowed");
        if lines.iter().any(|line| line == "quiet") {
            break;
        }
    }
    assert!(deaths >= 3, "it had only {deaths} deliveries");
    assert_eq!(worked, numbers(0..20), "innocent messages went with the poison");
    let mut graves = wait(queue.consume(&dead, 10)).unwrap();
    assert_eq!(drain(&mut graves, Duration::from_secs(3)), ["poison"]);
}

pub(crate) fn members(url: &str) {
    const MESSAGES: u32 = 3000;
    let queue = connect(url);
    let options = fresh("members");
    wait(queue.declare(&options)).unwrap();
    let first = Program::start("work", url, &options.name);
    assert_eq!(first.line().as_deref(), Some("consuming"));
    let mut acked: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for start in (0..MESSAGES).step_by(50) {
                send(&queue, &options.name, (start..start + 50).map(|number| number.to_string()));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        acked.extend((0..400).filter_map(|_| first.line()));
        let second = Program::start("work", url, &options.name);
        acked.extend((0..800).filter_map(|_| first.line()));
        let third = Program::start("work", url, &options.name);
        acked.extend((0..100).filter_map(|_| second.line()));
        acked.extend(first.kill());
        acked.extend((0..100).filter_map(|_| third.line()));
        acked.extend(second.kill());
        acked.extend(third.kill());
    });
    let mut consumer = wait(queue.consume(&options.name, 100)).unwrap();
    let rest = drain(&mut consumer, SETTLED);
    acked.retain(|line| line != "consuming");
    let (tried, said) = tried_and_acked(acked);
    let again = rest.iter().filter(|body| said.contains(*body)).count();
    assert_eq!(again, 0, "{again} were acked, and came again");
    let all: BTreeSet<String> = rest.into_iter().chain(said).collect();
    let lost: Vec<_> = numbers(0..MESSAGES).difference(&all).cloned().collect();
    assert!(lost.iter().all(|body| tried.contains(body)), "{lost:?} are lost");
    let stats = wait(queue.stats(&options.name)).unwrap();
    assert_eq!(stats.ready + stats.leased, 0, "{stats:?}");
}

pub(crate) fn broker_restart(_: &str) {
    let Some(mut broker) = Kafka::start().unwrap() else { return };
    let queue = connect(&broker.url());
    let options = fresh("restart");
    wait(queue.declare(&options)).unwrap();
    send(&queue, &options.name, (0..200).map(|number| number.to_string()));
    let mut consumer = wait(queue.consume(&options.name, 20)).unwrap();
    let mut acked = BTreeSet::new();
    for _ in 0..100 {
        let delivery = wait(consumer.next()).unwrap().unwrap();
        let body = crate::programs::text(&delivery);
        wait(delivery.ack()).unwrap();
        assert!(acked.insert(body));
    }
    broker.kill_hard().unwrap();
    let held = std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            let delivery = wait(consumer.next()).unwrap().unwrap();
            let body = crate::programs::text(&delivery);
            (body, wait(delivery.ack()))
        });
        let sent = scope.spawn(|| send(&queue, &options.name, (200..210).map(|number| number.to_string())));
        broker.restart().unwrap();
        sent.join().unwrap();
        held.join().unwrap()
    });
    // Confirmed after the restart, or stale: then it comes again.
    let mut unknown = None;
    match held {
        (body, Ok(())) => assert!(acked.insert(body)),
        (_, Err(Error::Stale)) => {}
        // On record or not, nobody knows.
        (body, Err(error)) => {
            assert!(error.is_passing(), "{error}");
            unknown = Some(body);
        }
    }
    let end = Instant::now() + GIVE_UP;
    let is_all = |acked: &BTreeSet<String>| acked.iter().chain(&unknown).collect::<BTreeSet<_>>().len() == 210;
    while !is_all(&acked) {
        assert!(Instant::now() < end, "only {} came", acked.len());
        for body in drain(&mut consumer, Duration::from_secs(1)) {
            assert!(acked.insert(body.clone()), "{body} was acked, and came again");
        }
    }
}

pub(crate) fn drop_without_broker(_: &str) {
    let Some(mut broker) = Kafka::start().unwrap() else { return };
    let queue = connect(&broker.url());
    let options = fresh("gone");
    wait(queue.declare(&options)).unwrap();
    send(&queue, &options.name, ["held".to_owned()]);
    let mut consumer = wait(queue.consume(&options.name, 5)).unwrap();
    let held = wait(consumer.next()).unwrap().unwrap();
    broker.kill_hard().unwrap();
    // The last sender of this channel is dropped when all is: the test has no clock of its own.
    let (tell, dropped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        drop(consumer);
        drop(held);
        wait(queue.close());
        drop(queue);
        drop(tell);
    });
    let ended = dropped.recv_timeout(Duration::from_secs(20));
    assert_eq!(ended, Err(std::sync::mpsc::RecvTimeoutError::Disconnected), "dropping them hangs");
}
