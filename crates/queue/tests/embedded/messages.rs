//! Messages, while clients and owners are killed.

use phalanx_queue::embedded::words::{Request, ToClient};
use phalanx_queue::{Consumer, Delivery, Error, Message, Queue, QueueName, QueueOptions};
use rustix::process::Signal;

use crate::Test;
use crate::process::{Place, Running, block_on, until};
use crate::raw::Raw;

pub(crate) const TESTS: &[Test] = &[
    ("a killed consumer's messages come again to another", killed_consumer),
    ("a consumer outlives its owner, and its deliveries can be settled after that", owner_killed),
    ("no more than the prefetch is on its way", prefetch),
    ("a dropped consumer gives its messages back", dropped),
    ("a stopped consumer gets no more, settles what it has, and gives back the rest when it is dropped", stopped),
    ("a consumer of a queue that nobody declared is told so", undeclared),
    ("a consumer that does not read is cut off, and what it was given comes to others", never_reads),
];

fn messages() -> QueueName {
    QueueName::new("messages").unwrap()
}

async fn connect(place: &Place) -> Queue {
    let queue = Queue::connect(&place.url()).await.unwrap();
    queue.declare(&QueueOptions::new(messages()).unwrap()).await.unwrap();
    queue
}

async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.unwrap().unwrap()
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.clone()).unwrap()
}

fn killed_consumer() {
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        queue.send_batch(&messages(), ["a", "b"].map(Message::from).into()).await.unwrap();
        let mut other = Running::start("consume", &place.url());
        other.says("got a");
        other.says("got b");
        let mut consumer = queue.consume(&messages(), 10).await.unwrap();
        other.kill();
        let (a, b) = (next(&mut consumer).await, next(&mut consumer).await);
        let mut bodies = [body(&a), body(&b)];
        bodies.sort_unstable();
        assert_eq!(bodies, ["a", "b"]);
        assert!(a.redelivered && b.redelivered && a.attempt == 2);
        a.ack().await.unwrap();
        b.ack().await.unwrap();
        assert_eq!(queue.stats(&messages()).await.unwrap().leased, 0);
    });
}

fn owner_killed() {
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        let mut consumer = queue.consume(&messages(), 10).await.unwrap();
        queue.send(&messages(), "before").await.unwrap();
        let before = next(&mut consumer).await;
        place.signal(Signal::KILL).ends();
        queue.send(&messages(), "after").await.unwrap();
        before.ack().await.unwrap();
        let after = next(&mut consumer).await;
        assert_eq!(body(&after), "after");
        after.ack().await.unwrap();
        let stats = queue.stats(&messages()).await.unwrap();
        assert_eq!((stats.ready, stats.leased), (0, 0));
    });
}

fn prefetch() {
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        queue.send_batch(&messages(), (0..10).map(|n| Message::from(n.to_string().as_str())).collect()).await.unwrap();
        let mut consumer = queue.consume(&messages(), 3).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(next(&mut consumer).await);
        }
        let stats = queue.stats(&messages()).await.unwrap();
        assert_eq!((stats.ready, stats.leased), (7, 3));
        held.remove(0).ack().await.unwrap();
        held.push(next(&mut consumer).await);
        assert_eq!(queue.stats(&messages()).await.unwrap().leased, 3);
    });
}

fn dropped() {
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        queue.send(&messages(), "a").await.unwrap();
        let mut first = queue.consume(&messages(), 3).await.unwrap();
        let delivery = next(&mut first).await;
        drop(first);
        let mut second = queue.consume(&messages(), 3).await.unwrap();
        assert_eq!(body(&next(&mut second).await), "a");
        assert_eq!(delivery.ack().await, Err(Error::Stale));
    });
}

fn stopped() {
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        queue.send_batch(&messages(), ["a", "b", "c"].map(Message::from).into()).await.unwrap();
        let mut consumer = queue.consume(&messages(), 2).await.unwrap();
        let (a, b) = (next(&mut consumer).await, next(&mut consumer).await);
        assert!(consumer.stop());
        assert!(consumer.next().await.is_none());
        a.ack().await.unwrap();
        let stats = queue.stats(&messages()).await.unwrap();
        assert_eq!((stats.ready, stats.leased, stats.consumers), (1, 1, 0));
        drop(consumer);
        let mut other = queue.consume(&messages(), 2).await.unwrap();
        let mut bodies = [body(&next(&mut other).await), body(&next(&mut other).await)];
        bodies.sort_unstable();
        assert_eq!(bodies, ["b", "c"]);
        assert_eq!(b.ack().await, Err(Error::Stale));
    });
}

fn undeclared() {
    let place = Place::new();
    block_on(async {
        let queue = Queue::connect(&place.url()).await.unwrap();
        let error = queue.consume(&QueueName::new("nowhere").unwrap(), 1).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchQueue { .. }), "{error}");
    });
}

fn never_reads() {
    const MEBIBYTE: usize = 1 << 20;
    const MANY: usize = 75;
    let place = Place::new();
    block_on(async {
        let queue = connect(&place).await;
        let mut raw = Raw::introduced(&place);
        // One alone is never given as much as a client may leave unread.
        for consumer in 1..4 {
            raw.ask(consumer, Request::Consume { queue: messages(), consumer, prefetch: 1000 });
            assert!(matches!(raw.hears(), Some(ToClient::Answer { reply: Ok(_), .. })));
        }
        let batch: Vec<Message> = (0..MANY).map(|_| Message::from(vec![7_u8; MEBIBYTE - 1])).collect();
        queue.send_batch(&messages(), batch).await.unwrap();
        until("it to be cut off", || place.log().contains("does not read").then_some(()));
        let mut consumer = queue.consume(&messages(), 100).await.unwrap();
        for _ in 0..MANY {
            next(&mut consumer).await.ack().await.unwrap();
        }
    });
}
