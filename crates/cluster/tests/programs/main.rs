//! Clusters of programs that know nothing of us: real processes, real signals, real sockets.
//!
//! This file is at once the tests, the cluster that they start (`TEST_PROGRAM` is set), and the programs that it runs
//! (`TEST_PLAIN` is set; these use nothing of Phalanx but what reads signals).
//!
//! `cargo test -p phalanx-cluster --features program --test programs [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

#[path = "../cluster/client.rs"]
#[allow(dead_code)]
mod client;
mod faults;
mod nodes;
mod plain;
#[path = "../cluster/process.rs"]
#[allow(dead_code)]
mod process;
mod runner;
mod serving;

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

fn main() {
    if let Ok(name) = std::env::var("TEST_PLAIN") {
        return plain::run(&name);
    }
    phalanx_process::init().expect("init");
    if std::env::var_os("TEST_PROGRAM").is_some() {
        return runner::run();
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (mut passed, mut failed) = (0, Vec::new());
    let tests = [serving::TESTS, faults::TESTS, nodes::TESTS].into_iter().flatten();
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
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
