//! On librdkafka's mock of a cluster, which is there wherever this builds. (It cannot be told to make or cut topics, and lets a new group
//! wait for 3 s; the real broker is in `tests/messages` and `tests/kafka`.)

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::Kafka;
use crate::conformance::wait;
use crate::{Broker, ConsumeOptions, Consumer, Delivery, Error, Message, QueueName, QueueOptions, Requeue};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// With the topics that its queues need.
fn cluster(queues: &[&str]) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    let own = ["phalanx.queues", "phalanx.replies"].map(str::to_owned).into_iter();
    let rungs = queues.iter().flat_map(|queue| ["10s", "1m", "10m"].map(|rung| format!("{queue}.retry.{rung}")));
    for topic in own.chain(rungs).chain(queues.iter().map(|queue| (*queue).to_owned())) {
        cluster.create_topic(&topic, 2, 1).unwrap();
    }
    cluster
}

fn connect(cluster: &Cluster) -> Kafka {
    let url = format!("kafka://{}?session_ms=6000", cluster.bootstrap_servers());
    wait(Kafka::connect(&url.parse().unwrap())).unwrap()
}

fn declare(kafka: &Kafka, options: &QueueOptions) -> QueueName {
    wait(kafka.declare(options)).unwrap();
    options.name.clone()
}

fn options(name: &str) -> QueueOptions {
    QueueOptions::new(name).unwrap()
}

fn consume(kafka: &Kafka, queue: &QueueName) -> Consumer {
    wait(kafka.consume(queue, ConsumeOptions::prefetch(10))).unwrap()
}

fn next(consumer: &mut Consumer) -> Delivery {
    wait(consumer.next()).unwrap().unwrap()
}

fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message.body).unwrap()
}

#[test]
fn a_delivery_is_acked_handed_back_replaced_and_rejected() {
    let cluster = cluster(&["work", "graves"]);
    let kafka = connect(&cluster);
    let dead = QueueName::new("graves").unwrap();
    let queue = declare(&kafka, &options("work").dead_letter(dead.clone()));
    let message = Message::from("first").header("kept", "yes").priority(7);
    wait(kafka.send(&queue, vec![message.clone()])).unwrap();
    let mut consumer = consume(&kafka, &queue);
    let delivery = next(&mut consumer);
    assert_eq!((delivery.attempt, delivery.redelivered, &delivery.message), (1, false, &message));
    wait(delivery.nack(Requeue::Now)).unwrap();
    let delivery = next(&mut consumer);
    assert_eq!((delivery.attempt, delivery.redelivered, &delivery.message), (2, true, &message));
    wait(delivery.nack(Requeue::After(Duration::from_millis(50)))).unwrap();
    let delivery = next(&mut consumer);
    assert_eq!((delivery.attempt, &delivery.message), (3, &message));
    wait(delivery.replace(Message::from("second"), Requeue::Now)).unwrap();
    let delivery = next(&mut consumer);
    assert_eq!((delivery.attempt, text(&delivery)), (1, "second"));
    wait(delivery.ack()).unwrap();
    wait(kafka.send(&queue, vec![message])).unwrap();
    wait(next(&mut consumer).reject()).unwrap();
    let found = wait(kafka.peek(&dead, 10)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].headers.get("phalanx-death-queue").map(Vec::as_slice), Some(b"work".as_slice()));
    assert_eq!(wait(kafka.stats(&queue)).unwrap().ready, 0);
}

#[test]
fn what_was_acked_out_of_order_does_not_come_again() {
    let cluster = cluster(&["order"]);
    let kafka = connect(&cluster);
    let queue = declare(&kafka, &options("order"));
    let message = |number: u32| Message::from(number.to_string().as_str()).key("one partition");
    wait(kafka.send(&queue, (0..6).map(message).collect())).unwrap();
    let mut consumer = consume(&kafka, &queue);
    let mut held: Vec<Delivery> = (0..6).map(|_| next(&mut consumer)).collect();
    for index in [5, 3, 2] {
        wait(held.remove(index).ack()).unwrap();
    }
    let stats = wait(kafka.stats(&queue)).unwrap();
    assert_eq!(stats.ready + stats.leased, 3, "{stats:?}");
    drop(consumer);
    let mut consumer = consume(&kafka, &queue);
    let came: Vec<String> = (0..3).map(|_| text(&next(&mut consumer)).to_owned()).collect();
    assert_eq!(came, ["0", "1", "4"]);
    assert_eq!(wait(held.remove(0).ack()), Err(Error::Stale));
}

#[test]
fn a_commit_that_the_broker_refuses_for_a_while_is_repeated() {
    let cluster = cluster(&["commits"]);
    let kafka = connect(&cluster);
    let queue = declare(&kafka, &options("commits"));
    wait(kafka.send(&queue, vec!["a".into()])).unwrap();
    let mut consumer = consume(&kafka, &queue);
    let delivery = next(&mut consumer);
    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS; 3];
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refusals);
    wait(delivery.ack()).unwrap();
    drop(consumer);
    assert_eq!(wait(kafka.stats(&queue)).unwrap().ready, 0);
}

#[test]
fn a_send_is_repeated_until_it_is_confirmed_and_its_refusal_is_told() {
    let cluster = cluster(&["sends"]);
    let kafka = connect(&cluster);
    let queue = declare(&kafka, &options("sends"));
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2]);
    wait(kafka.send(&queue, vec!["a".into()])).unwrap();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let refused = wait(kafka.send(&queue, vec!["b".into()]));
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let large = wait(kafka.send(&queue, vec![Message::new(vec![0; 3 << 20])]));
    assert_eq!(large, Err(Error::TooBig { bytes: 3 << 20, limit: 2 << 20 }));
    let unknown = QueueName::new("unknown").unwrap();
    assert_eq!(wait(kafka.send(&unknown, vec!["c".into()])), Err(Error::NoSuchQueue { queue: "unknown".into() }));
    assert_eq!(wait(kafka.stats(&queue)).unwrap().ready, 1);
}

#[test]
fn answers_come_to_whoever_asked() {
    let cluster = cluster(&[]);
    let (asker, worker) = (connect(&cluster), connect(&cluster));
    let (address, mut answers) = wait(asker.open_replies()).unwrap();
    let (other, mut others) = wait(asker.open_replies()).unwrap();
    wait(worker.reply(&other, Message::from("for the other"))).unwrap();
    wait(worker.reply(&address, Message::from("for the one"))).unwrap();
    assert_eq!(text(&next(&mut answers)), "for the one");
    assert_eq!(text(&next(&mut others)), "for the other");
    assert_eq!(wait(worker.reply("amq.rabbitmq.reply-to.1", Message::from("nowhere"))), Ok(()));
}

#[test]
fn a_cluster_that_is_not_there_is_told_within_the_deadline() {
    // A port of this machine on which nobody listens: it was ours until now.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missing = wait(Kafka::connect(&format!("kafka://{address}").parse().unwrap()));
    assert!(matches!(missing.map(drop), Err(Error::Unavailable { .. })));
}

#[test]
fn a_closed_handle_ends_its_consumers_and_takes_nothing_more() {
    let cluster = cluster(&["closed"]);
    let kafka = connect(&cluster);
    let queue = declare(&kafka, &options("closed"));
    let mut consumer = consume(&kafka, &queue);
    wait(kafka.close());
    assert!(wait(consumer.next()).is_none());
    assert_eq!(wait(kafka.send(&queue, vec!["late".into()])), Err(Error::Closed));
    assert_eq!(wait(kafka.consume(&queue, ConsumeOptions::prefetch(1))).map(drop), Err(Error::Closed));
}
