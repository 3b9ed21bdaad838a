//! Queues of messages: credit, settling, dead letters, bounds.

use super::rig::{ME, OTHER, Rig, queue, secs};
use crate::embedded::words::{Delivered, Reply, Request, Settlement};
use crate::{Error, Message, QueueOptions};
use std::time::Duration;

fn declared(rig: &mut Rig, options: QueueOptions) {
    assert_eq!(rig.ask(Request::Declare(options)), Ok(Reply::Done));
}

fn options() -> QueueOptions {
    QueueOptions::new("q").unwrap()
}

fn send(rig: &mut Rig, bodies: &[&str]) -> Vec<Message> {
    let messages: Vec<Message> = bodies.iter().map(|body| Message::from(*body)).collect();
    assert_eq!(rig.ask(Request::Send { queue: queue("q"), messages: messages.clone() }), Ok(Reply::Done));
    messages
}

fn consume(rig: &mut Rig, consumer: u64, prefetch: u32) -> Vec<Delivered> {
    rig.ask(Request::Consume { queue: queue("q"), consumer, prefetch }).unwrap();
    came(rig)
}

fn came(rig: &mut Rig) -> Vec<Delivered> {
    rig.commit();
    rig.deliveries().into_iter().map(|(_, _, delivery)| delivery).collect()
}

fn settle(rig: &mut Rig, delivery: &Delivered, settlement: Settlement) -> Result<Reply, Error> {
    rig.ask(Request::Settle { token: delivery.token, settlement })
}

fn bodies(deliveries: &[Delivered]) -> Vec<&str> {
    deliveries.iter().map(|delivery| std::str::from_utf8(&delivery.message.body).unwrap()).collect()
}

#[test]
fn messages_come_in_order_within_the_credit_and_are_gone_when_acknowledged() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    let sent = send(&mut rig, &["1", "2", "3"]);
    let first = consume(&mut rig, 1, 2);
    assert_eq!(bodies(&first), ["1", "2"]);
    assert_eq!(first[0].message, sent[0]);
    assert_eq!(settle(&mut rig, &first[0], Settlement::Ack), Ok(Reply::Done));
    assert_eq!(bodies(&came(&mut rig)), ["3"]);
    assert_eq!(settle(&mut rig, &first[0], Settlement::Ack), Ok(Reply::Done));
    let stats = rig.stats();
    assert_eq!((stats.ready, stats.leased, stats.consumers), (0, 2, 1));
}

#[test]
fn a_queue_that_nobody_declared_takes_nothing() {
    let mut rig = Rig::new();
    let sent = rig.ask(Request::Send { queue: queue("q"), messages: vec![Message::from("x")] });
    assert!(matches!(sent, Err(Error::NoSuchQueue { .. })));
    declared(&mut rig, options());
    send(&mut rig, &["x"]);
    rig.restart();
    assert_eq!(bodies(&consume(&mut rig, 1, 10)), ["x"]);
    assert_eq!(rig.ask(Request::Delete { queue: queue("q") }), Ok(Reply::Done));
    assert!(matches!(rig.ask(Request::Peek { queue: queue("q"), most: 1 }), Err(Error::NoSuchQueue { .. })));
}

#[test]
fn the_same_message_is_taken_once_in_a_queue_and_again_in_another() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    declared(&mut rig, QueueOptions::new("other").unwrap());
    let sent = send(&mut rig, &["1"]);
    rig.ask(Request::Send { queue: queue("q"), messages: sent.clone() }).unwrap();
    let delivered = consume(&mut rig, 1, 10);
    assert_eq!(delivered.len(), 1);
    settle(&mut rig, &delivered[0], Settlement::Ack).unwrap();
    rig.ask(Request::Send { queue: queue("q"), messages: sent.clone() }).unwrap();
    assert_eq!(came(&mut rig), []);
    rig.ask(Request::Send { queue: queue("other"), messages: sent.clone() }).unwrap();
    rig.ask(Request::Consume { queue: queue("other"), consumer: 2, prefetch: 1 }).unwrap();
    assert_eq!(came(&mut rig).len(), 1);
    rig.pass(secs(600));
    rig.ask(Request::Send { queue: queue("q"), messages: sent }).unwrap();
    assert_eq!(came(&mut rig).len(), 1);
}

#[test]
fn a_message_comes_again_now_or_later_and_the_same_token_counts_once() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1"]);
    let first = consume(&mut rig, 1, 1);
    assert_eq!(settle(&mut rig, &first[0], Settlement::Nack(Duration::ZERO)), Ok(Reply::Done));
    let second = came(&mut rig);
    assert_eq!((second.len(), second[0].attempt), (1, 2));
    assert_eq!(settle(&mut rig, &first[0], Settlement::Ack), Err(Error::Stale));
    settle(&mut rig, &second[0], Settlement::Nack(secs(5))).unwrap();
    assert_eq!(came(&mut rig), []);
    assert_eq!(rig.stats().scheduled, 1);
    rig.pass(secs(5));
    assert_eq!(came(&mut rig)[0].attempt, 3);
}

#[test]
fn what_a_consumer_had_comes_back_when_it_ends_or_is_gone() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1", "2"]);
    assert_eq!(consume(&mut rig, 1, 10).len(), 2);
    rig.hello(OTHER);
    rig.ask_as(OTHER, Request::Consume { queue: queue("q"), consumer: 1, prefetch: 10 }).unwrap();
    rig.ask(Request::EndConsume { consumer: 1 }).unwrap();
    let delivered = came(&mut rig);
    assert_eq!((bodies(&delivered), delivered[0].attempt), (vec!["1", "2"], 2));
    let now = rig.now;
    rig.engine().gone(OTHER, now);
    assert_eq!(came(&mut rig), []);
    assert_eq!(consume(&mut rig, 2, 10)[1].attempt, 3);
}

#[test]
fn rejected_ones_and_those_that_came_too_often_are_dead_letters() {
    let mut rig = Rig::new();
    declared(&mut rig, options().dead_letter(queue("q.dead")).max_deliveries(2));
    let sent = send(&mut rig, &["1", "2"]);
    let delivered = consume(&mut rig, 1, 1);
    settle(&mut rig, &delivered[0], Settlement::Reject).unwrap();
    for _ in 0..2 {
        let delivered = came(&mut rig);
        settle(&mut rig, &delivered[0], Settlement::Nack(Duration::ZERO)).unwrap();
    }
    assert_eq!(came(&mut rig), []);
    let dead = rig.ask(Request::Peek { queue: queue("q.dead"), most: 10 });
    assert_eq!(dead, Ok(Reply::Messages(sent)));
    let stats = rig.stats();
    assert_eq!((stats.ready, stats.leased, stats.bytes), (0, 0, 0));
}

#[test]
fn without_a_dead_letter_queue_rejected_ones_are_gone() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1"]);
    let delivered = consume(&mut rig, 1, 1);
    settle(&mut rig, &delivered[0], Settlement::Reject).unwrap();
    assert_eq!(came(&mut rig), []);
    assert_eq!(rig.stats().ready, 0);
}

#[test]
fn another_message_takes_its_place() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1"]);
    let first = consume(&mut rig, 1, 1);
    let same = first[0].message.clone().header("errors", "1");
    settle(&mut rig, &first[0], Settlement::Replace(same.clone(), secs(1))).unwrap();
    assert_eq!(came(&mut rig), []);
    rig.pass(secs(1));
    let second = came(&mut rig);
    assert_eq!(second[0].message, same);
    let new = Message::from("new");
    settle(&mut rig, &second[0], Settlement::Replace(new.clone(), Duration::ZERO)).unwrap();
    assert_eq!(came(&mut rig)[0].message, new);
    assert_eq!(rig.stats().leased, 1);
}

#[test]
fn bounds_are_held_and_known_messages_are_no_new_ones() {
    let mut rig = Rig::new();
    declared(&mut rig, options().max_messages(2));
    let sent = send(&mut rig, &["1", "2"]);
    let more = rig.ask(Request::Send { queue: queue("q"), messages: vec![Message::from("3")] });
    assert!(matches!(more, Err(Error::Full { waiting: 2, limit: 2, .. })), "{more:?}");
    assert_eq!(rig.ask(Request::Send { queue: queue("q"), messages: sent }), Ok(Reply::Done));
    declared(&mut rig, options().max_messages(100).max_bytes(300));
    let big = Message::new(vec![7; 300]);
    let more = rig.ask(Request::Send { queue: queue("q"), messages: vec![big] });
    assert!(matches!(more, Err(Error::Full { .. })), "{more:?}");
    assert_eq!(rig.ask(Request::PurgeMessages { queue: queue("q") }), Ok(Reply::Count(2)));
    assert_eq!((rig.stats().ready, rig.stats().bytes), (0, 0));
}

#[test]
fn another_declaration_is_a_mismatch_only_where_it_matters() {
    let mut rig = Rig::new();
    declared(&mut rig, options().dead_letter(queue("q.dead")));
    let other = rig.ask(Request::Declare(options()));
    assert!(matches!(other, Err(Error::Mismatch { .. })));
    declared(&mut rig, options().dead_letter(queue("q.dead")).max_messages(5));
    assert!(matches!(
        rig.ask(Request::Declare(QueueOptions::new("x").unwrap().passive())),
        Err(Error::NoSuchQueue { .. })
    ));
}

#[test]
fn consumers_take_turns() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    rig.hello(OTHER);
    for (client, consumer) in [(ME, 1), (OTHER, 1), (ME, 2)] {
        rig.ask_as(client, Request::Consume { queue: queue("q"), consumer, prefetch: 10 }).unwrap();
    }
    send(&mut rig, &["1", "2", "3", "4", "5", "6"]);
    let who: Vec<_> = rig.deliveries().into_iter().map(|(client, consumer, _)| (client, consumer)).collect();
    assert_eq!(who, [(ME, 1), (OTHER, 1), (ME, 2), (ME, 1), (OTHER, 1), (ME, 2)]);
}

#[test]
fn deliveries_are_claimed_again_after_a_restart_and_count_against_the_credit() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1", "2", "3"]);
    let held = consume(&mut rig, 1, 2);
    rig.crash();
    let (handle, now) = (rig.handle, rig.now);
    let tokens: Vec<_> = held.iter().map(|delivery| delivery.token).collect();
    assert_eq!(rig.engine().connected(ME, handle, &tokens, now), [true, true]);
    assert_eq!(consume(&mut rig, 1, 2), []);
    rig.pass(secs(3));
    assert_eq!(came(&mut rig), []);
    settle(&mut rig, &held[0], Settlement::Ack).unwrap();
    assert_eq!(bodies(&came(&mut rig)), ["3"]);
}

#[test]
fn a_delivery_is_nobodys_lease_of_a_job() {
    let mut rig = Rig::new();
    declared(&mut rig, options());
    send(&mut rig, &["1"]);
    let held = consume(&mut rig, 1, 1);
    let outcome = crate::job::Outcome::Done(vec![]);
    assert_eq!(rig.finish(held[0].token, outcome), crate::job::Recorded::Stale);
    // It is held for as long as its connection lasts.
    rig.pass(secs(3600));
    assert_eq!(settle(&mut rig, &held[0], Settlement::Ack), Ok(Reply::Done));
}
