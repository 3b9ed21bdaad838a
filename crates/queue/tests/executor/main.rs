//! A queue is an executor as the others are: the suite of `phalanx_task::conformance` over the embedded queue, with a runner in this
//! process, on threads and on job processes. And what only real processes show of a runner.
//!
//! No test harness: the owner of the queue and the job processes are this program too.
//!
//! `cargo test -p phalanx-queue --test executor [-- threads|processes|runner] [PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod runner;

use std::sync::Arc;

use phalanx_queue::{Isolate, JobRunner, Queue, QueueExecutor, QueueOptions, RetryPolicy};
use phalanx_task::conformance::{self, Harness, Power, Shape};
use phalanx_task::{Executor, Submission, SubmitOptions, Task};

/// The embedded queue in a fresh folder, and a runner.
struct Embedded(Isolate);

/// An executor with what it needs behind it.
#[derive(Clone)]
struct Both {
    executor: QueueExecutor,
    _behind: Arc<Behind>,
}

/// In the order in which it is to go.
struct Behind {
    _runner: JobRunner,
    _folder: tempfile::TempDir,
}

impl Executor for Both {
    fn submit_with<T: Task>(&self, task: T, options: SubmitOptions) -> Submission<T::Output> {
        self.executor.submit_with(task, options)
    }
}

impl Harness for Embedded {
    type Executor = Both;

    fn build(&self, shape: &Shape) -> Both {
        let folder = tempfile::tempdir().unwrap();
        let queue = connect(&folder);
        wait(async {
            let bound = QueueOptions::new("default").unwrap().max_messages(shape.queue_limit as u64);
            queue.declare(&bound).await.unwrap();
        });
        // Nothing is claimed ahead: what waits here would wait without the order of the queue.
        let runner = JobRunner::builder(&queue).isolate(self.0).registry(conformance::registry());
        let runner = runner.concurrency(shape.servers).prefetch(0).build().unwrap();
        let executor = QueueExecutor::new(&queue).retry(RetryPolicy::never()).most_in_flight(100_000);
        Both { executor, _behind: Arc::new(Behind { _runner: runner, _folder: folder }) }
    }

    fn has(&self, power: Power) -> bool {
        match power {
            Power::Kills => self.0 == Isolate::Processes,
            Power::KeepsStrangers => true,
            // They outlive their handle; their bounds are of the queue; and what waits is not predicted but bounded.
            _ => false,
        }
    }
}

fn connect(folder: &tempfile::TempDir) -> Queue {
    let url = format!("embedded:{}", folder.path().display());
    wait(Queue::connect(&url)).unwrap()
}

/// Runs a future of a test, which has a deadline of its own.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(conformance::GIVE_UP, future).await.expect("in time") })
}

fn main() {
    phalanx_queue::init_with(runner::registered(conformance::registry())).expect("init");
    runner::play_worker();
    let words: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let place = words.iter().find(|word| matches!(word.as_str(), "threads" | "processes" | "runner"));
    let wanted = words.iter().find(|word| Some(*word) != place).map_or("", String::as_str);
    let is_wanted = |name: &str| place.is_none_or(|wanted| wanted == name);
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, isolate) in [("threads", Isolate::Threads), ("processes", Isolate::Processes)] {
        if is_wanted(name) {
            let report = conformance::run(name, &Embedded(isolate), wanted);
            passed += report.passed.len();
            failed.extend(report.failed.into_iter().map(|case| (name, case)));
        }
    }
    if is_wanted("runner") {
        for (name, test) in runner::TESTS.iter().filter(|(name, _)| name.contains(wanted)) {
            let kept = std::panic::catch_unwind(test).is_ok();
            println!("test runner: {name} ... {}", if kept { "ok" } else { "FAILED" });
            if kept { passed += 1 } else { failed.push(("runner", name)) }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
