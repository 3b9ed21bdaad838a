//! `cargo xtask bench`: builds what is measured in release mode and hands over to the program of `bench/`.

use std::path::Path;

use crate::features;
use crate::step::{self, Failure};
use crate::tools;

/// Cases that measure the program `phalanx`; the others bring a server of their own.
const CASES_WITH_THE_BINARY: [&str; 6] = ["upload", "process", "overload", "task", "stream", "run"];

/// The features of the server that choose its allocator; without one of them it is the system's.
const ALLOCATORS: [&str; 2] = ["mimalloc", "jemalloc"];

/// Builds, brings the Node peers up to date, and runs `phalanx-bench` with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let asks_for_help =
        arguments.is_empty() || arguments.iter().any(|argument| argument == "-h" || argument == "--help");
    if !asks_for_help {
        if tools::NPM.find().is_none() {
            println!("npm is not installed: the Node peers are left out");
        }
        tools::install_node_packages(&step::repository().join("bench/peers/node"))?;
        if arguments.first().is_some_and(|case| CASES_WITH_THE_BINARY.contains(&case.as_str())) {
            step::run(step::cargo().args(["build", "--release", "--package", "phalanx-server"]))?;
        }
        if arguments.first().is_some_and(|case| case == "memory") {
            build_with_each_allocator()?;
            build_allocations()?;
        }
        if arguments.first().is_some_and(|case| case == "stream") {
            tools::install_rage(&step::repository().join("target/rivals"))?;
        }
    }
    // Only these cases need what takes minutes to build: the clients of all brokers, a C library.
    let features = match arguments.first().map(String::as_str) {
        Some("queue") if !asks_for_help => features::provide_for_bench()?,
        Some("image") if !asks_for_help => features::provide_for_pictures()?,
        _ => &[],
    };
    let mut build = step::cargo();
    build.args(["build", "--release", "--package", "phalanx-bench", "--package", "phalanx-bench-image", "--bins"]);
    step::run(build.args(features))?;
    let shown: &[String] = if arguments.is_empty() { &["--help".to_owned()] } else { arguments };
    let mut run = step::cargo();
    run.args(["run", "--quiet", "--release", "--package", "phalanx-bench"]).args(features).arg("--").args(shown);
    step::run(&mut run)
}

/// The binary with each other allocator than the default one, as `phalanx-with-NAME` beside it. Only the allocator differs:
/// what does not know of it is built once.
fn build_with_each_allocator() -> Result<(), Failure> {
    let built = step::target_folder()?.join("release");
    for allocator in ALLOCATORS {
        step::run(step::cargo().args(["build", "--release", "--package", "phalanx-server", "--features", allocator]))?;
        keep(&built.join("phalanx"), &built.join(format!("phalanx-with-{allocator}")))?;
    }
    // The default last: it is what stays under its own name.
    step::run(step::cargo().args(["build", "--release", "--package", "phalanx-server"]))
}

/// A program that only allocates and frees, without heap profiles and with them, as `allocations-with-NAME`.
fn build_allocations() -> Result<(), Failure> {
    let built = step::target_folder()?.join("release");
    for feature in ["jemalloc", "heap-profile"] {
        let package = ["build", "--release", "--package", "phalanx-memory", "--example", "allocations"];
        step::run(step::cargo().args(package).args(["--features", feature]))?;
        keep(&built.join("examples/allocations"), &built.join(format!("allocations-with-{feature}")))?;
    }
    Ok(())
}

/// The next build with other features overwrites what this one made.
fn keep(program: &Path, copy: &Path) -> Result<(), Failure> {
    std::fs::copy(program, copy)
        .map(|_| ())
        .map_err(|error| Failure::new(format!("cannot keep {}: {error}", copy.display())))
}
