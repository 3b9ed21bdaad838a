//! One large job is split into 64 parts, two worker processes work on them, and what they give is gathered in its order: all of it
//! durable, so that any of them may die at any time.
//!
//! `cargo run --release --example queue_split_gather`

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};

use phalanx::queue::{Gather, Gathering, JobRunner, Jobs, Queue};
use phalanx::task::Sandbox;
use phalanx::{Task, TaskContext, TaskError, tasks};
use serde::{Deserialize, Serialize};

const PARTS: u64 = 64;
const NUMBERS_OF_A_PART: u64 = 100_000;

/// One part: the sum of squares of its numbers.
#[derive(Serialize, Deserialize)]
struct Squares {
    first: u64,
}

/// What came of it, and which worker it was.
#[derive(Serialize, Deserialize)]
struct Part {
    sum: u64,
    worker: u32,
}

impl Task for Squares {
    const NAME: &'static str = "squares";
    type Output = Part;
    /// To see its parent's number. Work on strangers' bytes keeps the default, which denies everything.
    const SANDBOX: Sandbox = Sandbox::None;

    fn run(self, _: &TaskContext) -> Result<Part, TaskError> {
        let numbers = self.first..self.first + NUMBERS_OF_A_PART;
        let sum = numbers.fold(0_u64, |sum, number| sum.rotate_left(1).wrapping_add(number.wrapping_mul(number)));
        Ok(Part { sum, worker: std::os::unix::process::parent_id() })
    }
}

/// Makes one result of all parts.
#[derive(Serialize, Deserialize)]
struct Checksum;

#[derive(Serialize, Deserialize)]
struct Gathered {
    parts: usize,
    workers: usize,
    checksum: u64,
}

impl Gather for Checksum {
    const NAME: &'static str = "checksum";
    type Part = Part;
    type Output = Gathered;

    /// The parts come in the order of the children, whoever was first.
    fn gather(self, parts: Vec<Result<Part, TaskError>>, _: &TaskContext) -> Result<Gathered, TaskError> {
        let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
        let workers = parts.iter().map(|part| part.worker).collect::<HashSet<_>>().len();
        let checksum = parts.iter().fold(0_u64, |all, part| all.wrapping_mul(31).wrapping_add(part.sum));
        Ok(Gathered { parts: parts.len(), workers, checksum })
    }
}

/// A worker: what `phalanx work --queue URL` does, too. It may run on another machine if the queue does.
async fn work(url: &str) -> Result<(), Box<dyn Error>> {
    let queue = Queue::connect(url).await?;
    // Two job processes, nothing claimed ahead: the other worker shall have its share.
    let runner = JobRunner::builder(&queue).concurrency(2).prefetch(0).build()?;
    runner.run_until_signal().await?;
    queue.close().await;
    Ok(())
}

async fn split(url: &str) -> Result<Gathered, Box<dyn Error>> {
    let queue = Queue::connect(url).await?;
    let parts = (0..PARTS).map(|part| Squares { first: part * NUMBERS_OF_A_PART });
    // Stored together or not at all. A flow that was stored is finished some day.
    let job = Jobs::new(&queue).flow(parts, Checksum).submit().await?;
    let gathered = job.result().await?;
    queue.close().await;
    Ok(gathered)
}

fn start_worker(url: &str) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args(["--work", url]).spawn()
}

/// Asks it to stop as an operator would.
fn stop(mut worker: Child) -> Result<(), Box<dyn Error>> {
    if let Some(pid) = i32::try_from(worker.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    }
    worker.wait()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first line of `main`: job processes, and the owner of the embedded queue, are this same program, started again.
    phalanx::queue::init_with(tasks![Squares, Gathering<Checksum>])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, url] = &arguments[..]
        && word == "--work"
    {
        return runtime.block_on(work(url));
    }
    let folder = std::env::temp_dir().join(format!("phalanx-split-gather-{}", std::process::id()));
    let result = split_among_two(&runtime, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    let Gathered { parts, workers, checksum } = result?;
    println!("gathered {parts} parts from {workers} workers, checksum {checksum}");
    Ok(())
}

fn split_among_two(runtime: &tokio::runtime::Runtime, folder: &Path) -> Result<Gathered, Box<dyn Error>> {
    let url = format!("embedded:{}", folder.display());
    let workers = [start_worker(&url)?, start_worker(&url)?];
    let gathered = runtime.block_on(split(&url));
    for worker in workers {
        stop(worker)?;
    }
    gathered
}
