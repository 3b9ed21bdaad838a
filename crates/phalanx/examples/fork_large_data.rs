//! A child process as a function: a large array goes in, its squares come back, the child is ended. A child that crashes is
//! an error value.
//!
//! `cargo run --release --example fork_large_data`

use std::error::Error;
use std::time::Duration;

use phalanx::channel::Attachments;
use phalanx::process::{Parent, fork, forked, parent};

const ITEMS: u64 = 1_000_000;
const DEADLINE: Duration = Duration::from_secs(9);

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    if forked() == Some("squares") {
        return squares().await;
    }
    let numbers: Vec<u8> = (0..ITEMS).flat_map(u64::to_le_bytes).collect();
    let result = map("square", &numbers).await?;
    let checksum = words(&result).fold(0, u64::wrapping_add);
    let Err(crash) = map("crash", &numbers).await else { return Err("the crash went unnoticed".into()) };
    println!("{} items, checksum {checksum}; {crash}", words(&result).count());
    Ok(())
}

/// One call, one process.
async fn map(what: &str, numbers: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let (child, channel) = fork::<String, ()>("squares").await?;
    // The megabytes cross in shared memory.
    let answer = channel.request_with(&what.to_owned(), Attachments::payload(numbers), DEADLINE).await;
    drop(channel);
    let ended = child.exited().await?;
    Ok(answer.map_err(|_| format!("crash reported as {ended}"))?.payload)
}

async fn squares() -> Result<(), Box<dyn Error>> {
    let Parent::Phalanx(channel) = parent::<(), String>()? else { return Err("forked by somebody else".into()) };
    while let Some(message) = channel.recv().await? {
        if message.value == "crash" {
            // SAFETY: there is none: this is the bug in a C library that the caller must survive.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
        }
        let squares: Vec<u8> = words(&message.payload).flat_map(|n| (n * n).to_le_bytes()).collect();
        if let Some(ticket) = message.ticket {
            channel.reply_with(ticket, &(), Attachments::payload(&squares)).await?;
        }
    }
    Ok(())
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk))
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    run()
}
