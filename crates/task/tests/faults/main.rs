//! Tasks that do everything that no task should, in job processes of real pools.
//!
//! This test has no harness: it is at once the tests, the job processes, and (when `TEST_PROGRAM` is set) the owners of
//! pools that a test kills or starves.
//!
//! `cargo test -p phalanx-task --test faults [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod denied;
mod hostile;
mod household;
mod lies;
mod mischief;
mod owner;
mod poison;
mod scribble;
mod siblings;
mod storms;

use mischief::{Confined, Free, Offline};
use phalanx_task::{init_with, tasks};

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

fn main() {
    init_with(tasks![Free, Offline, Confined]).expect("init");
    if let Ok(program) = std::env::var("TEST_PROGRAM") {
        return owner::run(&program);
    }
    denied::listen();
    household::is_empty_now();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let areas = [hostile::TESTS, denied::TESTS, lies::TESTS, poison::TESTS, owner::TESTS, storms::TESTS];
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
    println!("{passed} passed, {} failed", failed.len());
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
