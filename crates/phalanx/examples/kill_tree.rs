//! A shell with children and grandchildren is ended as a whole.
//!
//! `cargo run --release --example kill_tree`

use std::error::Error;

use phalanx::process::{Command, Signal};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Three generations; each tells its process id.
const PROGRAM: &str = "echo $$; sh -c 'echo $$; sleep 100 & echo $!; wait' & sh -c 'echo $$; exec sleep 100' & wait";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut child = Command::new("sh").args(["-c", PROGRAM]).process_group().spawn().await?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("a pipe")?).lines();
    let mut started: Vec<u32> = Vec::new();
    while started.len() < 4
        && let Some(line) = lines.next_line().await?
    {
        started.push(line.parse()?);
    }
    println!("{} processes run", started.len());
    child.kill_tree(Signal::Kill).await?;
    child.closed().await?;
    println!("{} processes left", started.iter().filter(|pid| runs(**pid)).count());
    Ok(())
}

/// Whether there is such a process that has not ended.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
