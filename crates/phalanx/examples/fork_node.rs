//! A Rust parent with a Node.js child, which is an ordinary script for `child_process.fork`. Needs `node`.
//!
//! `cargo run --release --example fork_node`

use std::error::Error;

use phalanx::process::fork_node;
use serde_json::{Value, json};

/// What any Node program writes that was forked by another.
const SCRIPT: &str = "
process.on('message', ({ task, payload }) => {
  if (task === 'process-data') process.send({ result: payload.map((n) => n * 2) });
});
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("double.js");
    std::fs::write(&script, SCRIPT)?;

    let (child, channel) = fork_node::<Value, Value>(&script).await?;
    channel.send(&json!({"task": "process-data", "payload": [1, 2, 3]})).await?;
    let answer = channel.recv().await?.ok_or("Node ended without an answer")?.value;
    drop(channel); // the script gets 'disconnect' and, with nothing left to do, ends
    child.exited().await?;
    println!("{answer}");
    Ok(())
}
