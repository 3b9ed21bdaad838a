//! Real clusters: real processes, real signals, real sockets.
//!
//! This test has no harness of its own making threads before `init`: it is at once the tests, and (when
//! `TEST_PROGRAM` is set) the programs that they start.
//!
//! `cargo test -p phalanx-cluster --test cluster [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod client;
mod companions;
mod faults;
#[cfg(feature = "control")]
mod front;
mod hard_limit;
mod http2;
mod http2_client;
mod http_drain;
mod http_held;
mod http_limits;
mod http_programs;
#[cfg(feature = "tls")]
mod http_tls;
mod hung;
mod leaks;
mod lifecycle;
mod limits;
mod listeners;
mod listeners_distribution;
mod messages;
mod messages_programs;
mod messages_workers;
mod orders;
mod process;
mod programs;
mod recycle;
mod reload;
mod signals;
mod upgrade;

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

/// What the HTTP server of a worker promises.
const HTTP_TESTS: &[&[Test]] = &[
    http_held::TESTS,
    http_drain::TESTS,
    http_limits::TESTS,
    http2::TESTS,
    #[cfg(feature = "tls")]
    http_tls::TESTS,
];

fn main() {
    phalanx_process::init().expect("init");
    if let Ok(program) = std::env::var("TEST_PROGRAM") {
        return programs::run(&program);
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let areas = [
        lifecycle::TESTS,
        limits::TESTS,
        listeners::TESTS,
        listeners_distribution::TESTS,
        messages::TESTS,
        faults::TESTS,
        reload::TESTS,
        upgrade::TESTS,
        recycle::TESTS,
        leaks::TESTS,
        hard_limit::TESTS,
        hung::TESTS,
        signals::TESTS,
        companions::TESTS,
    ];
    let tests = areas.into_iter().chain(HTTP_TESTS.iter().copied()).flatten();
    #[cfg(feature = "control")]
    let tests = tests.chain(front::tests());
    let (mut passed, mut failed) = (0, Vec::new());
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
