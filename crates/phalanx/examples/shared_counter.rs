//! A counter in shared memory: a worker thread adds to it in place, and so does a worker process.
//!
//! `cargo run --release --example shared_counter`

use std::error::Error;
use std::time::Duration;

use phalanx::channel::Attachments;
use phalanx::process::{Parent, fork, forked, parent};
use phalanx::shared::SharedBuffer;
use phalanx::thread::Worker;

const DEADLINE: Duration = Duration::from_secs(10);

fn add_five(buffer: &SharedBuffer) -> Result<(), phalanx::shared::Error> {
    buffer.view::<i32>()?.add(0, 5)?;
    Ok(())
}

/// A thread gets another handle on the same memory.
async fn counted_by_a_thread() -> Result<i32, Box<dyn Error>> {
    let buffer = SharedBuffer::new(size_of::<i32>())?;
    let counter = buffer.view::<i32>()?;
    counter.store(0, 10)?;
    let worker = Worker::<(), ()>::spawn(buffer, async |scope| add_five(scope.worker_data()))?;
    worker.exited().await?;
    Ok(counter.load(0)?)
}

/// A process gets a descriptor of it.
async fn counted_by_a_process() -> Result<i32, Box<dyn Error>> {
    let buffer = SharedBuffer::new(size_of::<i32>())?;
    let counter = buffer.view::<i32>()?;
    counter.store(0, 10)?;
    let (child, channel) = fork::<(), ()>("adder").await?;
    channel.send_with(&(), Attachments::none().descriptor(buffer.descriptor()?)).await?;
    child.exited().await?;
    Ok(counter.load(0)?)
}

async fn adder() -> Result<(), Box<dyn Error>> {
    let Parent::Phalanx(channel) = parent::<(), ()>()? else { return Err("forked by something else".into()) };
    let message = tokio::time::timeout(DEADLINE, channel.recv()).await??;
    let descriptor = message.and_then(|mut message| message.descriptors.pop()).ok_or("no buffer came")?;
    Ok(add_five(&SharedBuffer::from_descriptor(descriptor)?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    if forked() == Some("adder") {
        return adder().await;
    }
    println!("{} {}", counted_by_a_thread().await?, counted_by_a_process().await?);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // Before any thread starts: a child learns here which part it plays.
    phalanx::init()?;
    run()
}
