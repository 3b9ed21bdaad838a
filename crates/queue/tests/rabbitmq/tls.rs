//! TLS and passwords.

use phalanx_brokers::RabbitMq;
use phalanx_queue::conformance::wait;
use phalanx_queue::{Error, Queue};

use crate::{Test, connect, fresh, missing, next};

pub(crate) const TESTS: &[Test] =
    &[("messages_go_through_tls_to_whom_we_trust_and_to_nobody_else", messages_go_through_tls)];

fn messages_go_through_tls() {
    let rabbit = RabbitMq::builder().tls().password("somebody", "secret").start().unwrap();
    missing(rabbit.is_none(), "RabbitMQ");
    let Some(rabbit) = rabbit else { return };
    let (url, authority) = (rabbit.tls_url().unwrap(), rabbit.authority().unwrap());
    let trusting = format!("{url}?cacertfile={}", authority.display());
    let queue = connect(&trusting);
    let name = fresh(&queue);
    wait(queue.send(&name, vec![7_u8; 300_000])).unwrap();
    let mut consumer = wait(queue.consume(&name, 1)).unwrap();
    let delivery = next(&mut consumer);
    assert_eq!(delivery.message.body.len(), 300_000);
    wait(delivery.ack()).unwrap();

    let untrusted = wait(Queue::connect(&url)).map(drop);
    assert!(matches!(untrusted, Err(Error::Refused { .. })), "{untrusted:?}");
    let stranger = wait(Queue::connect(&trusting.replace("secret", "guessed"))).map(drop);
    let Err(Error::Refused { reason, .. }) = &stranger else { panic!("{stranger:?}") };
    assert!(!reason.contains("guessed"), "{reason}");
    let nowhere = wait(Queue::connect(&trusting.replace("/%2f", "/nowhere"))).map(drop);
    assert!(matches!(nowhere, Err(Error::Refused { .. } | Error::Unavailable { .. })), "{nowhere:?}");
}
