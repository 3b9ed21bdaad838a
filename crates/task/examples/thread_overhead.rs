//! What a task costs on a thread beside a closure: the same empty work, submitted and spawned, in turns.
//!
//! `cargo run --release -p phalanx-task --example thread_overhead [THREADS [ROUNDS]]`

use std::collections::VecDeque;
use std::future::Future;
use std::time::Instant;

use phalanx_task::{Executor, Task, TaskContext, TaskError};
use phalanx_thread::ThreadPool;
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 5;
const LONE: usize = 50_000;
const CROWD: usize = 500_000;
const IN_FLIGHT: usize = 64;

#[derive(Serialize, Deserialize)]
struct Empty;

impl Task for Empty {
    const NAME: &'static str = "empty";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Ok(())
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let threads = arguments.next().unwrap_or(1);
    let rounds = arguments.next().unwrap_or(ROUNDS);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let pool = ThreadPool::builder().threads(threads).build().expect("a pool");
    println!("{threads} thread(s)\n{:<10}{:>14}{:>14}{:>20}", "", "p50", "p99", "64 at once, each");
    runtime.block_on(async {
        for _ in 0..rounds {
            row("spawn", || {
                let submission = pool.spawn(|_| ());
                async { submission.await.is_ok() }
            })
            .await;
            row("submit", || {
                let submission = pool.submit(Empty);
                async { submission.await.is_ok() }
            })
            .await;
        }
    });
}

async fn row<F: Future<Output = bool>>(name: &str, submit: impl Fn() -> F) {
    let mut times = Vec::with_capacity(LONE);
    for _ in 0..LONE {
        let begun = Instant::now();
        assert!(submit().await);
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_nanos();
    let begun = Instant::now();
    let mut in_flight: VecDeque<_> = (0..IN_FLIGHT).map(|_| submit()).collect();
    for _ in 0..CROWD {
        let Some(oldest) = in_flight.pop_front() else { break };
        assert!(oldest.await);
        in_flight.push_back(submit());
    }
    for last in in_flight {
        assert!(last.await);
    }
    let each = begun.elapsed().as_nanos() / (CROWD + IN_FLIGHT) as u128;
    println!("{name:<10}{:>11} ns{:>11} ns{:>17} ns", at(0.5), at(0.99), each);
}
