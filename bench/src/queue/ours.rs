//! Phalanx: jobs on the embedded queue and PostgreSQL, messages on RabbitMQ and Kafka.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream::FuturesUnordered;
use measuring::{During, Failure};
use phalanx_queue::{Delivery, Isolate, JobOptions, JobRunner, Jobs, Queue, QueueName, QueueOptions};
use phalanx_task::{Registry, Task, TaskContext, TaskError, tasks};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::room::{Room, Stamp};
use crate::tally::{Tally, wait_for_the_end};
use crate::{Client, IN_FLIGHT, PAYLOAD_BYTES};

/// Until a group of consumers has met.
const FIRST_MESSAGE_DEADLINE: Duration = Duration::from_secs(20);

/// What runners stop with: nothing runs any more when they do.
const DRAIN: Duration = Duration::from_secs(5);

/// A task that does nothing with its input.
#[derive(Serialize, Deserialize)]
struct Empty(ByteBuf);

impl Task for Empty {
    const NAME: &'static str = "empty";
    type Output = ();

    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Ok(())
    }
}

fn registry() -> Registry {
    tasks![Empty]
}

/// The owner of an embedded queue is this program, started anew.
pub(crate) fn init() -> Result<(), Failure> {
    phalanx_queue::init_with(registry()).during("take a role")
}

/// Submits so many jobs at any time, and runs as many on threads of this process, whoever submitted them.
pub(crate) async fn jobs(client: &Client) -> Result<(), Failure> {
    let queue = Queue::connect(&client.url).await.during("connect")?;
    let name = QueueName::new(client.name.as_str()).during("name a queue")?;
    let runner = JobRunner::builder(&queue)
        .queues([name.clone()])
        .registry(registry())
        .isolate(Isolate::Threads)
        .concurrency(client.clients)
        .build()
        .during("start a runner")?;
    let (jobs, options) = (Jobs::new(&queue), JobOptions::new().queue(name));
    // Once through all of it.
    once(&jobs, &options, None).await?;

    let tally = client.tally()?;
    try_join_all((0..client.clients).map(|_| again_and_again(&jobs, &options, &tally))).await?;
    // Others still count, perhaps with jobs that our runner has claimed.
    tally.print();
    tokio::task::spawn_blocking(wait_for_the_end).await.during("wait for the end")??;
    runner.stop(DRAIN).await;
    queue.close().await;
    Ok(())
}

async fn again_and_again(jobs: &Jobs, options: &JobOptions, tally: &Tally) -> Result<(), Failure> {
    while tally.goes_on() {
        once(jobs, options, Some(tally)).await?;
    }
    Ok(())
}

async fn once(jobs: &Jobs, options: &JobOptions, tally: Option<&Tally>) -> Result<(), Failure> {
    let start = Instant::now();
    let task = Empty(ByteBuf::from([b'x'; PAYLOAD_BYTES]));
    let job = jobs.submit_with(task, options).await.during("submit a job")?;
    if let Some(tally) = tally {
        tally.enqueued(start);
    }
    job.result().await.during("have its result")?;
    if let Some(tally) = tally {
        tally.done(start);
    }
    Ok(())
}

pub(crate) async fn messages(client: &Client) -> Result<(), Failure> {
    let queue = Queue::connect(&client.url).await.during("connect")?;
    let name = QueueName::new(client.name.as_str()).during("name a queue")?;
    queue.declare(&QueueOptions::new(name.clone()).during("describe a queue")?).await.during("declare a queue")?;
    let prefetch = u32::try_from(IN_FLIGHT).during("make it a prefetch")?;
    let mut deliveries = queue.consume(&name, prefetch).await.during("consume")?;
    let (room, stamp) = (Room::new(IN_FLIGHT), Stamp::new());
    // Once there and back.
    queue.send(&name, stamp.body(Instant::now())).await.during("send a message")?;
    let first = tokio::time::timeout(FIRST_MESSAGE_DEADLINE, deliveries.next()).await.during("receive a message")?;
    let first = first.ok_or_else(|| Failure::new("the deliveries ended"))?.during("receive a message")?;
    first.ack().await.during("acknowledge a message")?;

    let tally = client.tally()?;
    // As many acknowledgements at any time as there are deliveries: each may wait for the broker.
    let acknowledge = async {
        let mut acknowledged = FuturesUnordered::new();
        loop {
            tokio::select! {
                delivery = deliveries.next() => {
                    let delivery = delivery.ok_or_else(|| Failure::new("the deliveries ended"))?;
                    acknowledged.push(acknowledge_one(delivery.during("receive a message")?, &stamp));
                }
                Some(start) = acknowledged.next(), if !acknowledged.is_empty() => {
                    room.leave();
                    tally.done(start?);
                }
            }
        }
    };
    let send = async {
        try_join_all((0..client.clients).map(|_| send_again_and_again(&queue, &name, &room, &stamp, &tally))).await?;
        room.wait_until_empty().await
    };
    tokio::select! {
        ended = acknowledge => ended,
        sent = send => sent,
    }?;
    tally.print();
    queue.broker().delete(&name).await.during("delete the queue")?;
    queue.close().await;
    Ok(())
}

async fn acknowledge_one(delivery: Delivery, stamp: &Stamp) -> Result<Instant, Failure> {
    let start = stamp.start(&delivery.message.body)?;
    delivery.ack().await.during("acknowledge a message")?;
    Ok(start)
}

async fn send_again_and_again(
    queue: &Queue,
    name: &QueueName,
    room: &Room,
    stamp: &Stamp,
    tally: &Tally,
) -> Result<(), Failure> {
    while tally.goes_on() {
        room.enter().await?;
        let start = Instant::now();
        queue.send(name, stamp.body(start)).await.during("send a message")?;
        tally.enqueued(start);
    }
    Ok(())
}
