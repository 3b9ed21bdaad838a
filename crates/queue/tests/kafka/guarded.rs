//! TLS and SASL.

use phalanx_brokers::Kafka;
use phalanx_queue::conformance::wait;
use phalanx_queue::{Error, Queue};

use crate::programs::{fresh, text};

pub(crate) fn both(_: &str) {
    let Some(broker) = Kafka::builder().tls().password("phalanx", "secret").start().unwrap() else { return };
    let (address, authority) = (broker.guarded_address().unwrap(), broker.authority().unwrap());
    let authority = authority.display();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let url = format!("kafkas://phalanx:secret@{address}?mechanism={mechanism}&ca={authority}");
        let queue = wait(Queue::connect(&url)).unwrap();
        let options = fresh("guarded");
        wait(queue.declare(&options)).unwrap();
        wait(queue.send(&options.name, mechanism)).unwrap();
        let mut consumer = wait(queue.consume(&options.name, 1)).unwrap();
        let delivery = wait(consumer.next()).unwrap().unwrap();
        assert_eq!(text(&delivery), mechanism);
        wait(delivery.ack()).unwrap();
    }
    let wrong = |url: String| wait(Queue::connect(&url)).map(drop).unwrap_err();
    let error = wrong(format!("kafkas://phalanx:guess@{address}?ca={authority}"));
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(!error.to_string().contains("guess"), "{error}");
    let error = wrong(format!("kafkas://phalanx:secret@{address}"));
    assert!(matches!(error, Error::Refused { .. } | Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}
