//! The embedded queue with real processes: owners that are started, killed and stopped, clients that come, go and lie.
//!
//! This test has no harness of its own making threads before `init`: it is at once the tests, and (when `TEST_PROGRAM` is set) the
//! programs that they start.
//!
//! `cargo test -p phalanx-queue --test embedded [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod false_owners;
mod folders;
mod hostile;
mod jobs;
mod messages;
mod on_demand;
mod process;
mod programs;
mod raw;
mod supervised;

/// A test: what it promises, and the code that tries to break it.
type Test = (&'static str, fn());

fn main() {
    if let Ok(program) = std::env::var("TEST_PROGRAM") {
        return programs::run(&program);
    }
    phalanx_queue::init().expect("init");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let areas: [&[Test]; 7] = [
        on_demand::TESTS,
        supervised::TESTS,
        jobs::TESTS,
        messages::TESTS,
        hostile::TESTS,
        false_owners::TESTS,
        folders::TESTS,
    ];
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
