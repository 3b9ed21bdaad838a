//! Pools of real processes.
//!
//! This test has no harness of its own making threads before `init_with`: it is at once the tests and the job processes that their
//! pools start.
//!
//! `cargo test -p phalanx-task --test pool [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod basics;
mod blame;
mod jobs;
mod packed;
mod processes;
mod rules;
mod storm;
mod tools;

use jobs::{Blocks, Churn, Crash, Echo, Hoard, Moody, Nested, Panics, Sleep, Speak, Steps, Sum, WaitsInside};
use packed::Goes;
use phalanx_task::tasks;

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

fn main() {
    phalanx_task::init_with(tasks![
        Blocks,
        Crash,
        Echo,
        Goes,
        Churn,
        Hoard,
        Moody,
        Nested,
        Panics,
        Sleep,
        Speak,
        Steps,
        Sum,
        WaitsInside
    ])
    .expect("init");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let areas = [basics::TESTS, blame::TESTS, packed::TESTS, processes::TESTS, rules::TESTS, storm::TESTS];
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in areas.into_iter().flatten().filter(|(name, _)| name.contains(&wanted)) {
        match std::panic::catch_unwind(test) {
            Ok(()) => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Err(_) => {
                failed.push(*name);
                println!("test {name} ... FAILED");
            }
        }
    }
    println!("\ntest result: {passed} passed; {} failed", failed.len());
    if !failed.is_empty() {
        println!("failed: {failed:?}");
        std::process::exit(1);
    }
}
