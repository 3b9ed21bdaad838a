//! What a task costs in a `ProcessPool`: one at a time, and 64 in flight, on a runtime of one thread.
//!
//! `cargo run --release -p phalanx-task --example pool_latency`

use std::time::{Duration, Instant};

use phalanx_task::{Executor, ProcessPool, SandboxPolicy, Task, TaskContext, TaskError, init_with, tasks};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

#[derive(Serialize, Deserialize)]
struct Same(u64);

impl Task for Same {
    const NAME: &'static str = "same";
    type Output = u64;

    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0)
    }
}

const ONE_BY_ONE: usize = 50_000;
const MANY: usize = 300_000;
const IN_FLIGHT: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    init_with(tasks![Same])?;
    let policy =
        if std::env::args().any(|word| word == "--no-sandbox") { SandboxPolicy::Off } else { SandboxPolicy::Prefer };
    let begun = Instant::now();
    let pool = ProcessPool::builder().processes(2).sandbox(policy).build()?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        assert_eq!(pool.submit(Same(7)).await?, 7);
        println!("a new pool to its first result: {:?}", begun.elapsed());
        for _ in 0..2 {
            let mut times = Vec::with_capacity(ONE_BY_ONE);
            for value in 0..ONE_BY_ONE as u64 {
                let begun = Instant::now();
                assert_eq!(pool.submit(Same(value)).await?, value);
                times.push(begun.elapsed());
            }
            println!("one at a time: {}", percentiles(&mut times));
        }
        for _ in 0..2 {
            let begun = Instant::now();
            let mut flight = JoinSet::new();
            for value in 0..MANY as u64 {
                if flight.len() == IN_FLIGHT {
                    flight.join_next().await.transpose()?.transpose()?;
                }
                let pool = pool.clone();
                flight.spawn(async move { pool.submit(Same(value)).await });
            }
            while let Some(result) = flight.join_next().await {
                result??;
            }
            println!("{IN_FLIGHT} in flight: {:.0} tasks/s", MANY as f64 / begun.elapsed().as_secs_f64());
        }
        println!("{:?}", pool.metrics());
        Ok(())
    })
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.9), at(0.99), at(0.999))
}
