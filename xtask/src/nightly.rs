//! `cargo xtask nightly`: what takes too long for every change.
//!
//! ```text
//! JPEG beside libjpeg-turbo, all photos ──▶ fuzz, 10 minutes a target ──▶ tests with AddressSanitizer ──▶ unit tests under valgrind ──▶ tests in their long form ──▶ storms over queues ──▶ soak
//! ```
//!
//! Each part runs although an earlier one failed; the failures stand together at the end.

use std::path::Path;

use crate::step::{self, Failure};
use crate::tools::{self, Missing};
use crate::{differential, fuzz, sanitizer, soak, storm};

const FUZZ_SECONDS: u64 = 600;
/// For each keeper of a queue.
const STORM_SECONDS: &str = "600";
/// Enough for the worker that is left alone to be judged.
const SOAK_MINUTES: &str = "20";
/// The crates with unsafe code, and which of their tests: not those that weigh single threads, which are heavier here.
const WITH_UNSAFE_CODE: [(&str, &[&str]); 4] = [
    ("phalanx-shared", &["--tests"]),
    ("phalanx-thread", &["--lib", "--test", "pool", "--test", "port", "--test", "worker"]),
    ("phalanx-channel", &["--tests"]),
    ("phalanx-process", &["--tests"]),
];
/// Those of them whose unit tests start no processes, which valgrind would not follow.
const CRATES_FOR_VALGRIND: [&str; 3] = ["phalanx-shared", "phalanx-thread", "phalanx-channel"];
/// Freed memory is kept apart for a while, so that its use is noticed: by default 256 MiB, which the tests that hold a
/// process to the memory it began with take for growth. With 1 MiB they pass; a use long after the free is not noticed.
const ASAN_OPTIONS: &str = "quarantine_size_mb=1:thread_local_quarantine_size_kb=16";
/// A lost block or an invalid access ends a test program with this code. Threads take turns: without that one that waits
/// for another in a loop keeps it from running.
const VALGRIND_OPTIONS: &str = "--quiet --fair-sched=yes --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite";

/// What makes tests longer, and the crates whose tests know it.
const LONG_FORMS: [(&str, &str, &str); 5] = [
    ("phalanx-cluster", "PHALANX_SEQUENCES", "10000000"),
    ("phalanx-process", "PHALANX_NIGHTLY", "1"),
    ("phalanx-process", "PHALANX_MESSAGES", "1000000"),
    ("phalanx-task", "PHALANX_NIGHTLY", "1"),
    ("phalanx", "PHALANX_BROKEN", "500"),
];

/// Runs all parts.
pub(crate) fn run() -> Result<(), Failure> {
    tools::provide(&[tools::CXX, tools::VALGRIND], Missing::allowed())?;
    let parts = [
        ("differential", differential::run(&[])),
        ("fuzz", fuzz::run_all(FUZZ_SECONDS)),
        ("AddressSanitizer", address_sanitizer()),
        ("valgrind", valgrind()),
        ("long tests", long_tests()),
        ("storm", storm::run(&["--seconds".to_owned(), STORM_SECONDS.to_owned()])),
        ("soak", soak::run(&["--minutes".to_owned(), SOAK_MINUTES.to_owned()])),
    ];
    let failed: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, outcome)| outcome.err().map(|failure| format!("{name}: {failure}")))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("\n"))) }
}

/// The tests of the crates with unsafe code, compiled with AddressSanitizer.
pub(crate) fn address_sanitizer() -> Result<(), Failure> {
    let host = sanitizer::host()?;
    let mut failed = Vec::new();
    for (name, which) in WITH_UNSAFE_CODE {
        let mut tests = step::cargo();
        tests.args(["test", "--no-fail-fast", "--package", name]).args(which);
        tests.args(["--target", &host, "--target-dir"]).arg(step::target_folder()?.join("asan"));
        tests.env("ASAN_OPTIONS", ASAN_OPTIONS);
        let outcome = step::run(sanitizer::allow(&mut tests, [sanitizer::ADDRESS]));
        failed.extend(outcome.err().map(|failure| failure.to_string()));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("; "))) }
}

/// The unit tests of the crates with unsafe code, as they are, under valgrind.
pub(crate) fn valgrind() -> Result<(), Failure> {
    let Some(valgrind) = tools::VALGRIND.find() else {
        println!("skipped without valgrind: {}", tools::VALGRIND.needed_for);
        return Ok(());
    };
    let runner = format!("CARGO_TARGET_{}_RUNNER", sanitizer::host()?.to_uppercase().replace('-', "_"));
    let mut tests = step::cargo();
    tests.args(["test", "--lib", "--no-fail-fast"]).env(runner, format!("{} {VALGRIND_OPTIONS}", valgrind.display()));
    for name in CRATES_FOR_VALGRIND {
        tests.args(["--package", name]);
    }
    step::run(&mut tests)
}

/// Tests that repeat something, with as many repetitions as a promise is worth.
fn long_tests() -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (name, variable, value) in LONG_FORMS {
        println!("\n==> {variable}={value}");
        let outcome = known_to_the_tests_of(name, variable).and_then(|()| {
            step::run(step::cargo().args(["test", "--release", "--package", name, "--tests"]).env(variable, value))
        });
        failed.extend(outcome.err().map(|failure| failure.to_string()));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(failed.join("; "))) }
}

/// A variable that nobody reads would leave the tests as short as they were, and pass.
fn known_to_the_tests_of(package: &str, variable: &str) -> Result<(), Failure> {
    let folder = step::repository().join("crates").join(package.trim_start_matches("phalanx-"));
    if mentions(&folder.join("src"), variable) || mentions(&folder.join("tests"), variable) {
        return Ok(());
    }
    Err(Failure::new(format!("no test of {package} knows {variable}: its long form was not run")))
}

fn mentions(path: &Path, word: &str) -> bool {
    match path.read_dir() {
        Ok(entries) => entries.flatten().any(|entry| mentions(&entry.path(), word)),
        Err(_) => std::fs::read_to_string(path).is_ok_and(|text| text.contains(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_form_that_no_test_knows_is_a_failure() {
        assert!(known_to_the_tests_of("phalanx-cluster", "PHALANX_SEQUENCES").is_ok());
        let failure = known_to_the_tests_of("phalanx-cluster", "PHALANX_NO_SUCH_THING").map_err(|why| why.to_string());
        assert!(failure.is_err_and(|why| why.contains("PHALANX_NO_SUCH_THING")));
    }
}
