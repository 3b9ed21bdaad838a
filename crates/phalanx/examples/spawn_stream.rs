//! A program with piped output: its lines are tagged as they come, and its exit code is known at the end.
//!
//! `cargo run --release --example spawn_stream`

use std::error::Error;

use phalanx::process::{ChildOutput, Command};
use tokio::io::{AsyncBufReadExt, BufReader};

const PROGRAM: &str = "for n in 1 2 3; do echo line $n; echo problem $n >&2; done";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut child = Command::new("sh").args(["-c", PROGRAM]).spawn().await?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    tokio::try_join!(tag("stdout", stdout), tag("stderr", stderr))?;
    println!("exited with {}", child.closed().await?.code().unwrap_or(-1));
    Ok(())
}

async fn tag(name: &str, output: Option<ChildOutput>) -> std::io::Result<()> {
    let Some(output) = output else { return Ok(()) };
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{name}: {line}");
    }
    Ok(())
}
