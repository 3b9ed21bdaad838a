//! A forked child gets a task and answers. Parent and child are this one program.
//!
//! `cargo run --release --example fork_messages`

use std::error::Error;

use phalanx::process::{fork, forked, parent};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Order {
    Task { data: String },
}

#[derive(Serialize, Deserialize)]
struct Done {
    text: String,
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    if forked() == Some("worker") {
        return worker().await;
    }
    let (child, channel) = fork::<Order, Done>("worker").await?;
    channel.send(&Order::Task { data: "process this".into() }).await?;
    let answer = channel.recv().await?.ok_or("the child ended without an answer")?.value;
    drop(channel);
    child.exited().await?;
    println!("received: {}", answer.text);
    Ok(())
}

async fn worker() -> Result<(), Box<dyn Error>> {
    let parent = parent::<Done, Order>()?;
    // The end of the channel is the end of the work.
    while let Some(Order::Task { data }) = parent.recv().await? {
        parent.send(&Done { text: format!("processed {data:?}") }).await?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // Before any thread starts: a child learns here which part it plays.
    phalanx::init()?;
    run()
}
