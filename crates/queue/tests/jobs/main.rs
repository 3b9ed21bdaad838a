//! Every keeper of jobs keeps the promises of all: the suite is `phalanx_queue::conformance::jobs`. And what PostgreSQL promises beyond it.
//!
//! `cargo test -p phalanx-queue --features postgres,amqp --test jobs [-- embedded|postgres|…] [PART_OF_A_NAME]`
//!
//! It is at once the tests and (when `TEST_PROGRAM` is set) the programs that they start.

#![allow(clippy::unwrap_used)]

#[cfg(all(feature = "postgres", any(feature = "amqp", feature = "kafka")))]
mod beside;
#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "postgres")]
mod postgres;

use phalanx_queue::conformance::Report;

/// Runs the cases whose names contain this; `None` where the store is not installed.
type Run = fn(&str) -> Option<Report>;

const STORES: &[(&str, Run)] = &[
    #[cfg(feature = "embedded")]
    ("embedded", embedded::run),
    #[cfg(feature = "postgres")]
    ("postgres", postgres::run),
    #[cfg(feature = "postgres")]
    ("postgres-faults", postgres::faults::run),
    #[cfg(all(feature = "postgres", feature = "amqp"))]
    ("rabbitmq+postgres", beside::rabbitmq),
    #[cfg(all(feature = "postgres", feature = "kafka"))]
    ("kafka+postgres", beside::kafka),
];

fn main() {
    #[cfg(feature = "postgres")]
    if let Ok(program) = std::env::var("TEST_PROGRAM") {
        return postgres::programs::run(&program);
    }
    phalanx_queue::init().expect("init");
    let words: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let store = words.iter().find(|word| STORES.iter().any(|(name, _)| name == word));
    let part = words.iter().find(|word| Some(*word) != store).map_or("", String::as_str);
    let mut failed = Vec::new();
    for (name, run) in STORES.iter().filter(|(name, _)| store.is_none_or(|store| store == name)) {
        match run(part) {
            Some(report) => {
                println!("{name}: {} passed, {} failed", report.passed.len(), report.failed.len());
                failed.extend(report.failed.iter().map(|case| format!("{name}: {case}")));
            }
            None => println!("{name}: skipped, it is not installed"),
        }
    }
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
