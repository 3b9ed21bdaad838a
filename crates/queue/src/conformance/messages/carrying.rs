//! What is sent arrives: all of it, once, in order.

use std::collections::BTreeSet;

use super::fixture::{consume, expect_silence, next, next_body, send, usual};
use super::{Harness, cases};
use crate::Message;
use crate::conformance::wait;

cases![
    a_message_arrives_with_all_that_it_was_given [],
    bodies_of_every_size_arrive [],
    a_large_batch_arrives_whole [],
    messages_come_in_the_order_of_their_sender [Has(Order)],
    many_senders_and_consumers_lose_nothing [],
    the_same_message_sent_again_is_not_taken_twice [Has(KnowsIds)],
    higher_priorities_go_first [Can(Priority)],
];

fn a_message_arrives_with_all_that_it_was_given<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let mut message = Message::new((0..=255_u8).collect::<Vec<u8>>())
        .header("text", "grün")
        .header("bytes", vec![0, 255, 128])
        .header("empty", "")
        .key("key");
    message.content_type = Some("application/octet-stream".to_owned());
    message.reply_to = Some("somewhere".to_owned());
    message.correlation_id = Some("42".to_owned());
    send(&queue, &name, message.clone());
    let other = harness.connect();
    let mut consumer = consume(&other, &name, 1);
    let delivery = next(&mut consumer);
    let came = delivery.message.clone();
    assert_eq!(came.body, message.body);
    assert_eq!(came.headers, message.headers);
    assert_eq!(came.id, message.id);
    assert_eq!(came.content_type, message.content_type);
    assert_eq!(came.reply_to, message.reply_to);
    assert_eq!(came.correlation_id, message.correlation_id);
    assert!(!delivery.redelivered);
    assert!(delivery.attempt <= 1, "{delivery:?}");
    wait(delivery.ack()).unwrap();
}

fn bodies_of_every_size_arrive<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    // Around the frames of AMQP (128 KiB), and close to what every broker takes.
    let sizes = [0, 1, 4095, 131_063, 131_064, 131_065, 900_000];
    let body = |size: usize| (0..size).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect::<Vec<u8>>();
    wait(queue.send_batch(&name, sizes.map(|size| Message::new(body(size))).to_vec())).unwrap();
    let mut consumer = consume(&queue, &name, 10);
    let mut left: BTreeSet<usize> = sizes.into();
    while !left.is_empty() {
        let delivery = next(&mut consumer);
        let size = delivery.message.body.len();
        assert!(left.remove(&size), "{size} bytes came twice, or were never sent");
        assert!(delivery.message.body == body(size), "{size} bytes came changed");
        wait(delivery.ack()).unwrap();
    }
}

fn a_large_batch_arrives_whole<H: Harness>(harness: &H) {
    const MESSAGES: usize = 3000;
    let queue = harness.connect();
    let name = usual(&queue);
    let batch = (0..MESSAGES).map(|number| Message::from(number.to_string().as_str())).collect();
    wait(queue.send_batch(&name, batch)).unwrap();
    let mut consumer = consume(&queue, &name, 100);
    let came: BTreeSet<String> = (0..MESSAGES).map(|_| next_body(&mut consumer)).collect();
    assert_eq!(came.len(), MESSAGES);
    expect_silence(&mut consumer);
    wait(queue.send_batch(&name, Vec::new())).unwrap();
}

fn messages_come_in_the_order_of_their_sender<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let text = |number: u32| Message::from(number.to_string().as_str()).key("one");
    wait(queue.send_batch(&name, (0..300).map(text).collect())).unwrap();
    for number in 300..310 {
        send(&queue, &name, text(number));
    }
    let mut consumer = consume(&queue, &name, 20);
    for number in 0..310_u32 {
        assert_eq!(next_body(&mut consumer), number.to_string());
    }
}

fn many_senders_and_consumers_lose_nothing<H: Harness>(harness: &H) {
    const SENDERS: usize = 4;
    const EACH: usize = 100;
    let queue = harness.connect();
    let name = usual(&queue);
    let (tell, came) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (queue, name) = (&queue, &name);
            scope.spawn(move || {
                for number in 0..EACH {
                    send(queue, name, format!("{sender} {number}").as_str());
                }
            });
        }
        for _ in 0..2 {
            let (tell, name) = (tell.clone(), &name);
            scope.spawn(move || {
                let queue = harness.connect();
                let mut consumer = consume(&queue, name, 16);
                loop {
                    let body = next_body(&mut consumer);
                    let last = body == "end";
                    tell.send(body).unwrap();
                    if last {
                        return;
                    }
                }
            });
        }
        let mut all = BTreeSet::new();
        while all.len() < SENDERS * EACH {
            let body = came.recv_timeout(crate::conformance::GIVE_UP).expect("some messages are lost");
            assert!(all.insert(body), "a message came twice, though it was acked");
        }
        // A consumer that has its own end takes none any more; enough for both, also where they do not share well.
        let ended = || came.recv_timeout(std::time::Duration::from_millis(500)).is_ok();
        let mut ends = 0;
        while ends < 2 {
            send(&queue, &name, Message::from("end").key(format!("{:?}", std::time::Instant::now())));
            ends += usize::from(ended());
        }
    });
}

fn the_same_message_sent_again_is_not_taken_twice<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let message = Message::from("once");
    send(&queue, &name, message.clone());
    send(&queue, &name, message.clone());
    let mut consumer = consume(&queue, &name, 10);
    assert_eq!(next_body(&mut consumer), "once");
    send(&queue, &name, message);
    expect_silence(&mut consumer);
}

fn higher_priorities_go_first<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    let message = |level: u8| Message::from(level.to_string().as_str()).priority(level);
    wait(queue.send_batch(&name, vec![message(1), message(9), message(5)])).unwrap();
    let mut consumer = consume(&queue, &name, 1);
    let came: Vec<String> = (0..3).map(|_| next_body(&mut consumer)).collect();
    assert_eq!(came, ["9", "5", "1"]);
}
