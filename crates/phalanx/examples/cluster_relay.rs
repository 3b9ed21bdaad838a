//! Worker 1 writes to worker 2, through the primary; then a broadcast of the primary reaches both.
//!
//! `cargo run --release --example cluster_relay`

use std::error::Error;

use phalanx::{Event, Incoming, Member, Primary, Worker, WorkerId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum News {
    /// To worker 1: worker 2 is there now.
    Greet(WorkerId),
    /// To all: the end.
    Done,
}

type AnyError = Box<dyn Error + Send + Sync>;

async fn primary(primary: Primary) -> Result<(), AnyError> {
    let mut events = primary.events();
    let (mut online, mut heard) = (Vec::new(), 0);
    let mut letter = String::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Online { worker } => {
                online.push(worker);
                online.sort();
                if let [first, second] = online[..] {
                    primary.send(first, &News::Greet(second)).await?;
                }
            }
            // What worker 1 wrote did not pass through here: worker 2 tells us of it.
            Event::Message { worker, message } => match message.decode::<Option<String>>()? {
                Some(text) => {
                    letter = format!("worker {worker} got {text:?}");
                    primary.broadcast(&News::Done).await?;
                }
                None => {
                    heard += 1;
                    if heard == 2 {
                        println!("{letter}; {heard} of {} got the broadcast", online.len());
                        primary.stop()?;
                    }
                }
            },
            _ => {}
        }
    }
    Ok(())
}

async fn worker(worker: Worker) -> Result<(), AnyError> {
    worker.ready();
    let mut messages = worker.messages()?;
    while let Some(incoming) = messages.next().await {
        let Incoming::Message { from, message } = incoming else { continue };
        match from {
            Member::Worker(_) => worker.send(&Some(message.decode::<String>()?)).await?,
            Member::Primary => match message.decode()? {
                News::Greet(other) => worker.send_to(other, &format!("hello from {}", worker.id())).await?,
                News::Done => worker.send(&None::<String>).await?,
            },
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    phalanx::cluster().workers(2).primary(primary).run(worker)?;
    Ok(())
}
