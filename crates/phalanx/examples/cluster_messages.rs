//! The primary sends a worker process some data, the worker doubles it and sends the result back.
//!
//! `cargo run --release --example cluster_messages`

use std::error::Error;

use phalanx::{Event, Primary, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    task: String,
    payload: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    result: Vec<i64>,
}

type AnyError = Box<dyn Error + Send + Sync>;

async fn primary(primary: Primary) -> Result<(), AnyError> {
    let mut events = primary.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Online { worker } => {
                let order = Order { task: "process-data".into(), payload: vec![1, 2, 3] };
                primary.send(worker, &order).await?;
            }
            Event::Message { message, .. } => {
                println!("{}", serde_json::to_string(&message.decode::<Answer>()?)?);
                primary.stop()?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn worker(worker: Worker) -> Result<(), AnyError> {
    worker.ready();
    // The end of the messages is the word to leave.
    while let Some(order) = worker.recv::<Order>().await? {
        if order.task == "process-data" {
            worker.send(&Answer { result: order.payload.iter().map(|n| n * 2).collect() }).await?;
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    phalanx::cluster().workers(1).primary(primary).run(worker)?;
    Ok(())
}
