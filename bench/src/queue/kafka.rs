//! Messages through Kafka by hand: rdkafka, `acks=all`, one consumer that stores the offset of each message when it is done.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use measuring::{During, Failure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::room::{Room, Stamp};
use crate::tally::Tally;
use crate::{Client, IN_FLIGHT};

const PARTITIONS: i32 = 4;
const SEND_DEADLINE: Duration = Duration::from_secs(10);
/// Until the group has given the consumer its partitions.
const FIRST_MESSAGE_DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn run(client: &Client) -> Result<(), Failure> {
    let servers = client.url.trim_start_matches("kafka://");
    let mut configuration = ClientConfig::new();
    configuration.set("bootstrap.servers", servers);
    make_topic(&configuration, &client.name).await?;
    let producer: FutureProducer = configuration
        .clone()
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create()
        .during("make a producer")?;
    let consumer: StreamConsumer = configuration
        .clone()
        .set("group.id", &client.name)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "100")
        .set("fetch.wait.max.ms", "10")
        .create()
        .during("make a consumer")?;
    consumer.subscribe(&[&client.name]).during("subscribe")?;

    let (room, stamp) = (Room::new(IN_FLIGHT), Stamp::new());
    // Once there and back: the group has met, the partitions are known.
    send(&producer, client, &stamp.body(Instant::now())).await?;
    let first = tokio::time::timeout(FIRST_MESSAGE_DEADLINE, consumer.recv()).await.during("join the group")?;
    consumer.store_offset_from_message(&first.during("receive a message")?).during("store an offset")?;

    let tally = client.tally()?;
    let acknowledge = async {
        loop {
            let message = consumer.recv().await.during("receive a message")?;
            let start = stamp.start(message.payload().unwrap_or_default())?;
            consumer.store_offset_from_message(&message).during("store an offset")?;
            room.leave();
            tally.done(start);
        }
    };
    let send_all = async {
        try_join_all((0..client.clients).map(|_| send_again_and_again(&producer, client, &room, &stamp, &tally)))
            .await?;
        room.wait_until_empty().await
    };
    tokio::select! {
        ended = acknowledge => ended,
        sent = send_all => sent,
    }?;
    tally.print();
    Ok(())
}

async fn make_topic(configuration: &ClientConfig, name: &str) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = configuration.create().during("make an administrator")?;
    let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
    let outcomes = admin.create_topics(&[topic], &AdminOptions::new()).await.during("make a topic")?;
    outcomes.into_iter().try_for_each(|outcome| {
        outcome.map(drop).map_err(|(name, error)| Failure::new(format!("cannot make the topic {name}: {error}")))
    })
}

async fn send(producer: &FutureProducer, client: &Client, body: &[u8]) -> Result<(), Failure> {
    let record = FutureRecord::<(), [u8]>::to(&client.name).payload(body);
    let sent = producer.send(record, SEND_DEADLINE).await;
    sent.map(drop).map_err(|(error, _)| Failure::new(format!("cannot send a message: {error}")))
}

async fn send_again_and_again(
    producer: &FutureProducer,
    client: &Client,
    room: &Room,
    stamp: &Stamp,
    tally: &Tally,
) -> Result<(), Failure> {
    while tally.goes_on() {
        room.enter().await?;
        let start = Instant::now();
        send(producer, client, &stamp.body(start)).await?;
        tally.enqueued(start);
    }
    Ok(())
}
