//! Kafka, with processes that are killed, a broker that is, and programs that know nothing of Phalanx.
//!
//! `cargo test -p phalanx-queue --features kafka --test kafka [-- PART_OF_A_NAME]`

#![allow(clippy::unwrap_used)]

mod faults;
mod foreign;
mod guarded;
mod programs;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use phalanx_brokers::Kafka;

/// A promise, and the code that tries to break it with the broker of this URL.
type Case = (&'static str, fn(&str));

const CASES: &[Case] = &[
    ("what_a_killed_consumer_had_acked_never_comes_again_and_the_rest_does", faults::killed_consumer),
    ("a_message_that_kills_its_consumers_ends_as_a_dead_letter_and_takes_no_other_with_it", faults::poison),
    ("members_that_join_leave_and_are_killed_lose_nothing", faults::members),
    ("a_broker_that_is_killed_and_comes_back_has_all_that_it_confirmed", faults::broker_restart),
    ("a_consumer_of_a_broker_that_is_gone_is_dropped_at_once", faults::drop_without_broker),
    ("a_foreign_program_sends_and_consumes_raw_bytes", foreign::both_ways),
    ("a_long_wait_leaves_its_consumer_and_comes_back", foreign::rungs),
    ("what_is_settled_is_removed_from_a_topic_that_was_made_for_the_queue", foreign::removed),
    ("passwords_and_authorities_are_asked_for", guarded::both),
];

fn main() {
    phalanx_process::init().expect("init");
    if let Ok(program) = std::env::var(programs::PROGRAM) {
        return programs::run(&program);
    }
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (_broker, url) = match std::env::var("PHALANX_TEST_KAFKA") {
        Ok(url) => (None, url),
        Err(_) => match Kafka::start().unwrap() {
            Some(broker) => {
                let url = broker.url();
                (Some(broker), url)
            }
            None => return println!("skipped: Java or Maven is not installed"),
        },
    };
    let mut failed = Vec::new();
    for (name, run) in CASES.iter().filter(|(name, _)| name.contains(&part)) {
        let begun = Instant::now();
        let kept = std::panic::catch_unwind(AssertUnwindSafe(|| run(&url))).is_ok();
        println!("test {name} ... {} ({} ms)", if kept { "ok" } else { "FAILED" }, begun.elapsed().as_millis());
        failed.extend((!kept).then_some(*name));
    }
    if !failed.is_empty() {
        eprintln!("failed: {failed:#?}");
        std::process::exit(1);
    }
}
