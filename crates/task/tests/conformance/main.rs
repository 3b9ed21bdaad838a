//! Every executor of this crate keeps the promises of all: the suite is `phalanx_task::conformance`.
//!
//! No test harness: a job process must know its part before any thread starts.
//!
//! `cargo test -p phalanx-task --test conformance [-- thread|process] [PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod spans;

use phalanx_task::ProcessPool;
use phalanx_task::conformance::{self, Harness, Power, Shape};
use phalanx_thread::ThreadPool;

/// Threads of this process.
struct Threads;

impl Harness for Threads {
    type Executor = ThreadPool;

    fn build(&self, shape: &Shape) -> ThreadPool {
        let pool = ThreadPool::builder().threads(shape.servers).queue_limit(shape.queue_limit);
        pool.max_wait(shape.max_wait).standing_wait(shape.max_wait).build().unwrap()
    }

    fn has(&self, power: Power) -> bool {
        use Power::{EndsWithItsHandle, PredictsWaits, RefusesAtOnce, TakesTurns};
        matches!(power, EndsWithItsHandle | PredictsWaits | RefusesAtOnce | TakesTurns)
    }
}

/// Job processes, in their sandbox where the kernel has one.
struct Processes;

/// Tasks that are queued in a process behind the one that runs.
const AHEAD: usize = 8;

impl Harness for Processes {
    type Executor = ProcessPool;

    fn build(&self, shape: &Shape) -> ProcessPool {
        let pool = ProcessPool::builder().processes(shape.servers).queue_limit(shape.queue_limit).ahead(AHEAD);
        let pool = pool.max_input(shape.max_bytes).max_output(shape.max_bytes);
        pool.max_wait(shape.max_wait).standing_wait(shape.max_wait).build().unwrap()
    }

    fn has(&self, power: Power) -> bool {
        !matches!(power, Power::KeepsStrangers)
    }

    fn most_ahead(&self) -> usize {
        AHEAD
    }
}

fn main() {
    phalanx_task::init_with(spans::registered(conformance::registry())).expect("init");
    let words: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let executor = words.iter().find(|word| matches!(word.as_str(), "thread" | "process"));
    let wanted = words.iter().find(|word| Some(*word) != executor).map_or("", String::as_str);
    let is_wanted = |name: &str| executor.is_none_or(|wanted| wanted == name);
    let mut reports = Vec::new();
    if is_wanted("thread") {
        reports.push(("thread", conformance::run("thread", &Threads, wanted)));
    }
    if is_wanted("process") {
        reports.push(("process", conformance::run("process", &Processes, wanted)));
    }
    reports.push(("both", spans::run(wanted)));
    let passed: usize = reports.iter().map(|(_, report)| report.passed.len()).sum();
    let failed: Vec<_> =
        reports.iter().flat_map(|(name, report)| report.failed.iter().map(move |case| (name, case))).collect();
    println!("{passed} passed, {} failed", failed.len());
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
