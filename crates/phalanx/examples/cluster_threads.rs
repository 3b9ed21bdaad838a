//! Two worker processes with two threads each: thread i squares `[1..5] + i`; the primary gathers all results, with the
//! process and the thread that each comes from.
//!
//! `cargo run --release --example cluster_threads`

use std::collections::HashSet;
use std::error::Error;

use phalanx::{Primary, Worker, thread};
use serde::{Deserialize, Serialize};

const PROCESSES: usize = 2;
const THREADS: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Squares {
    pid: u32,
    thread: u64,
    result: Vec<u64>,
}

type AnyError = Box<dyn Error + Send + Sync>;

async fn primary(primary: Primary) -> Result<(), AnyError> {
    let mut gathered: Vec<Squares> = Vec::new();
    while gathered.len() < PROCESSES * THREADS as usize {
        let (_, squares) = primary.recv::<Squares>().await?.ok_or("the cluster ended early")?;
        println!("pid {}, thread {}: {:?}", squares.pid, squares.thread, squares.result);
        gathered.push(squares);
    }
    let processes: HashSet<u32> = gathered.iter().map(|squares| squares.pid).collect();
    let sum: u64 = gathered.iter().flat_map(|squares| &squares.result).sum();
    println!("gathered {} results from {} processes, sum {sum}", gathered.len(), processes.len());
    primary.stop()?;
    Ok(())
}

async fn worker(worker: Worker) -> Result<(), AnyError> {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            thread::Worker::<(), Vec<u64>>::spawn(number, async |scope| {
                let number = *scope.worker_data();
                scope.post((1..=5).map(|n| (n + number) * (n + number)).collect()).await?;
                Ok::<_, Box<dyn Error>>(())
            })
        })
        .collect::<Result<_, _>>()?;
    worker.ready();
    for thread in &threads {
        let result = thread.recv().await.ok_or("a thread ended without a result")?;
        worker.send(&Squares { pid: worker.pid(), thread: thread.thread_id(), result }).await?;
    }
    worker.shutdown().await;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    phalanx::cluster().workers(PROCESSES).primary(primary).run(worker)?;
    Ok(())
}
