//! Every broker keeps the promises of all with messages: the suite is `phalanx_queue::conformance::messages`.
//!
//! `cargo test -p phalanx-queue --features amqp,kafka,postgres --test messages [-- rabbitmq|kafka|…] [PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

#[cfg(feature = "embedded")]
mod embedded;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "amqp")]
mod rabbitmq;

use phalanx_queue::conformance::Report;

/// Runs the cases whose names contain this; `None` where the broker is not installed.
type Run = fn(&str) -> Option<Report>;

const BROKERS: &[(&str, Run)] = &[
    #[cfg(feature = "embedded")]
    ("embedded", embedded::run),
    #[cfg(feature = "amqp")]
    ("rabbitmq", rabbitmq::run),
    #[cfg(feature = "kafka")]
    ("kafka", kafka::run),
    #[cfg(feature = "postgres")]
    ("postgres", postgres::run),
];

fn main() {
    phalanx_queue::init().expect("init");
    let words: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let broker = words.iter().find(|word| BROKERS.iter().any(|(name, _)| name == word));
    let part = words.iter().find(|word| Some(*word) != broker).map_or("", String::as_str);
    let mut failed = Vec::new();
    for (name, run) in BROKERS.iter().filter(|(name, _)| broker.is_none_or(|broker| broker == name)) {
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
