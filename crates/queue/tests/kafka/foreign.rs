//! Programs that know nothing of Phalanx, and what lies in topics of their own.

use std::time::{Duration, Instant};

use phalanx_queue::conformance::{GIVE_UP, wait};
use phalanx_queue::{Message, QueueName, Requeue};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _};

use crate::programs::{connect, drain, fresh, text};

fn bare(url: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", url.trim_start_matches("kafka://"));
    config.set("group.id", "foreign").set("auto.offset.reset", "earliest").clone()
}

/// A foreign consumer's next record.
fn next(consumer: &BaseConsumer) -> (Vec<u8>, Vec<String>) {
    let end = Instant::now() + GIVE_UP;
    loop {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            let headers = record.headers().map(|headers| headers.iter().map(|header| header.key.to_owned()).collect());
            return (record.payload().unwrap().to_vec(), headers.unwrap_or_default());
        }
        assert!(Instant::now() < end, "nothing came");
    }
}

pub(crate) fn both_ways(url: &str) {
    let name = fresh("foreign").name;
    // Kafka makes the topic when it is first spoken of, as its own programs like it.
    let producer: BaseProducer = bare(url).create().unwrap();
    let bytes: Vec<u8> = (0..=255).collect();
    producer.send(BaseRecord::<[u8], [u8]>::to(name.as_str()).payload(&bytes)).unwrap();
    producer.flush(GIVE_UP).unwrap();
    let queue = connect(url);
    let mut consumer = wait(queue.consume(&name, 10)).unwrap();
    let delivery = wait(consumer.next()).unwrap().unwrap();
    assert_eq!(delivery.message.body, bytes);
    assert_eq!((delivery.message.headers.len(), delivery.message.content_type.as_deref()), (0, None));
    let id = delivery.message.id;
    wait(delivery.nack(Requeue::Now)).unwrap();
    let again = wait(consumer.next()).unwrap().unwrap();
    assert_eq!(again.message.id, id);
    // Nobody declared where its dead letters go, so they go where they are found.
    wait(again.reject()).unwrap();
    let graves: BaseConsumer = bare(url).create().unwrap();
    graves.subscribe(&[&format!("{name}.dead")]).unwrap();
    assert_eq!(next(&graves).0, bytes);
    // And the other way.
    let reader: BaseConsumer = bare(url).set("group.id", "foreign reader").create().unwrap();
    reader.subscribe(&[name.as_str()]).unwrap();
    assert_eq!(next(&reader).0, bytes);
    wait(queue.send(&name, Message::new([0, 159, 146, 150]).header("theirs", "yes"))).unwrap();
    let (body, headers) = next(&reader);
    assert_eq!(body, [0, 159, 146, 150]);
    assert!(headers.contains(&"theirs".to_owned()) && headers.contains(&"phalanx-id".to_owned()), "{headers:?}");
}

pub(crate) fn rungs(url: &str) {
    const LONG: Duration = Duration::from_secs(12);
    let queue = connect(url);
    let options = fresh("rungs");
    wait(queue.declare(&options)).unwrap();
    wait(queue.send(&options.name, Message::from("patient").header("kept", "yes"))).unwrap();
    let mut consumer = wait(queue.consume(&options.name, 10)).unwrap();
    let delivery = wait(consumer.next()).unwrap().unwrap();
    let begun = Instant::now();
    wait(delivery.nack(Requeue::After(LONG))).unwrap();
    let stats = wait(queue.stats(&options.name)).unwrap();
    assert_eq!((stats.scheduled, stats.ready + stats.leased), (1, 0), "{stats:?}");
    let rung: BaseConsumer = bare(url).create().unwrap();
    rung.subscribe(&[&format!("{}.retry.10s", options.name)]).unwrap();
    assert_eq!(next(&rung).0, b"patient");
    let again = wait(consumer.next()).unwrap().unwrap();
    assert!(begun.elapsed() >= LONG, "it came after {:?}", begun.elapsed());
    assert_eq!((text(&again).as_str(), again.attempt, again.message.headers.len()), ("patient", 2, 1));
    wait(again.ack()).unwrap();
    assert_eq!(wait(queue.stats(&options.name)).unwrap().scheduled, 0);
    wait(queue.broker().delete(&options.name)).unwrap();
    let gone = QueueName::new(format!("{}.retry.10s", options.name)).unwrap();
    assert!(matches!(wait(queue.stats(&gone)), Err(phalanx_queue::Error::NoSuchQueue { .. })));
}

pub(crate) fn removed(url: &str) {
    let queue = connect(url);
    let options = fresh("removed").partitions(1);
    wait(queue.declare(&options)).unwrap();
    let batch = (0..1200).map(|number: u32| Message::new(number.to_string().into_bytes())).collect();
    wait(queue.send_batch(&options.name, batch)).unwrap();
    let mut consumer = wait(queue.consume(&options.name, 100)).unwrap();
    assert_eq!(drain(&mut consumer, Duration::from_secs(3)).len(), 1200);
    let watcher: BaseConsumer = bare(url).create().unwrap();
    let end = Instant::now() + GIVE_UP;
    while watcher.fetch_watermarks(options.name.as_str(), 0, GIVE_UP).unwrap() != (1200, 1200) {
        assert!(Instant::now() < end, "what is settled is still there");
        std::thread::sleep(Duration::from_millis(100));
    }
    wait(queue.send(&options.name, "after")).unwrap();
    assert_eq!(drain(&mut consumer, Duration::from_secs(2)), ["after"]);
}
