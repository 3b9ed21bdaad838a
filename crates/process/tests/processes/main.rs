//! Real child processes. No test harness: roles need `init` before any thread starts.

#![allow(clippy::unwrap_used)]

mod executing;
mod faults;
mod grouping;
mod spawning;

use std::time::{Duration, Instant};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(20);

fn main() {
    phalanx_process::init().expect("init");
    match phalanx_process::role() {
        None => run_tests(),
        Some(role) => faults::play(role),
    }
}

fn run_tests() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mut passed = 0;
    let all = [spawning::TESTS, executing::TESTS, grouping::TESTS, faults::TESTS];
    for (name, test) in all.into_iter().flatten() {
        if !name.contains(&filter) {
            continue;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        runtime.block_on(async { tokio::time::timeout(DEADLINE, test()).await }).unwrap_or_else(|_| {
            panic!("{name}: not done after {DEADLINE:?}");
        });
        passed += 1;
        println!("test {name} ... ok ({} ms)", begun.elapsed().as_millis());
    }
    println!("{passed} passed, 0 failed");
}

/// A test with its promise as the name.
type Test = (&'static str, fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>);

/// Lists tests: `tests![TESTS; name "the promise", …]`.
#[macro_export]
macro_rules! tests {
    ($($function:ident: $promise:literal,)*) => {
        /// The tests of this file.
        pub(crate) const TESTS: &[$crate::Test] = &[$(($promise, || Box::pin($function())),)*];
    };
}
