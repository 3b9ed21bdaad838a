//! Desks with real job processes, in their sandbox.
//!
//! No harness of its own makes threads before `init_with`: this file is at once the tests and the job processes.
//!
//! `cargo test -p phalanx-task --test desk [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod ending;
mod office;
mod work;

use phalanx_task::{init_with, tasks};

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

fn main() {
    init_with(tasks![office::Echo, office::Does]).expect("init_with");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (mut passed, mut failed) = (0, Vec::new());
    let tests = [work::TESTS, ending::TESTS].into_iter().flatten();
    for (name, test) in tests.filter(|(name, _)| name.contains(&wanted)) {
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
        println!("failed: {failed:?}");
        std::process::exit(1);
    }
}
