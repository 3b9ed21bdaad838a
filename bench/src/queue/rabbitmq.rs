//! Messages through RabbitMQ by hand: lapin, a quorum queue, confirms, a prefetch.

use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use measuring::{During, Failure};

use crate::room::{Room, Stamp};
use crate::tally::Tally;
use crate::{Client, IN_FLIGHT};

/// `delivery-mode` of AMQP.
const PERSISTENT: u8 = 2;

pub(crate) async fn run(client: &Client) -> Result<(), Failure> {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&client.url, properties).await.during("connect to RabbitMQ")?;
    let sending = connection.create_channel().await.during("open a channel")?;
    let consuming = connection.create_channel().await.during("open a channel")?;
    sending.confirm_select(ConfirmSelectOptions::default()).await.during("ask for confirms")?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let name = client.name.as_str();
    sending.queue_declare(name.into(), durable, arguments).await.during("declare a queue")?;
    let prefetch = u16::try_from(IN_FLIGHT).during("make it a prefetch")?;
    consuming.basic_qos(prefetch, BasicQosOptions::default()).await.during("set the prefetch")?;
    let consumed =
        consuming.basic_consume(name.into(), "consumer".into(), BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = consumed.await.during("consume")?;

    let (room, stamp, tally) = (Room::new(IN_FLIGHT), Stamp::new(), client.tally()?);
    let acknowledge = async {
        while let Some(delivery) = deliveries.next().await {
            let delivery = delivery.during("receive a message")?;
            delivery.acker.ack(BasicAckOptions::default()).await.during("acknowledge a message")?;
            room.leave();
            tally.done(stamp.start(&delivery.data)?);
        }
        Err(Failure::new("the deliveries ended"))
    };
    let send = async {
        try_join_all((0..client.clients).map(|_| send_again_and_again(&sending, name, &room, &stamp, &tally))).await?;
        room.wait_until_empty().await
    };
    tokio::select! {
        ended = acknowledge => ended,
        sent = send => sent,
    }?;
    sending.queue_delete(name.into(), QueueDeleteOptions::default()).await.during("delete the queue")?;
    tally.print();
    Ok(())
}

async fn send_again_and_again(
    channel: &Channel,
    queue: &str,
    room: &Room,
    stamp: &Stamp,
    tally: &Tally,
) -> Result<(), Failure> {
    while tally.goes_on() {
        room.enter().await?;
        let start = Instant::now();
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = stamp.body(start);
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish("".into(), queue.into(), options, &body, properties);
        let confirmation = published.await.during("publish a message")?.await.during("have it confirmed")?;
        if !matches!(confirmation, Confirmation::Ack(_)) {
            return Err(Failure::new("a message was not confirmed"));
        }
        tally.enqueued(start);
    }
    Ok(())
}
