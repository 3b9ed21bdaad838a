//! Calls run on any runtime, or none.

use tokio::runtime::Builder;

use super::fixture::usual;
use super::{Harness, cases};
use crate::{Queue, QueueName};

cases![calls_run_on_any_runtime []];

async fn round(queue: &Queue, name: &QueueName) {
    queue.send(name, "around").await.unwrap();
    let mut consumer = queue.consume(name, 1).await.unwrap();
    let delivery = consumer.next().await.unwrap().unwrap();
    assert_eq!(delivery.message.body, b"around");
    delivery.ack().await.unwrap();
}

fn calls_run_on_any_runtime<H: Harness>(harness: &H) {
    let queue = harness.connect();
    let name = usual(&queue);
    // Even one without clock and sockets.
    Builder::new_current_thread().build().unwrap().block_on(round(&queue, &name));
    let many = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    many.block_on(async {
        let (queue, name) = (queue.clone(), name.clone());
        tokio::spawn(async move { round(&queue, &name).await }).await.unwrap();
    });
    drop(many);
    crate::conformance::wait(round(&queue, &name));
}
