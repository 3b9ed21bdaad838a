//! `cargo xtask torture`: builds the binary and the torturers in release mode and hands over to a program of `torture/`.

use std::process::Command;

use crate::step::{self, Failure};
use crate::tools::{self, Missing};

/// The server, what tortures it, and storms: built at once, for three builds would have features, and so all that is below, of their own.
const BUILT: [&str; 6] = ["build", "--release", "--package", "phalanx-server", "--package", "phalanx-torture"];
/// Storms over the other brokers' queues too.
const BROKERS: [&str; 2] = ["--features", "phalanx-torture/brokers"];
/// Arguments to which nothing is tortured.
pub(crate) const ONLY_TELLS: [&str; 5] = ["-h", "--help", "-V", "--version", "--list"];

/// Builds, and runs `phalanx-torture` with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    run_program("phalanx-torture", arguments)
}

/// Builds, and runs a program of `torture/` with `arguments`: with the embedded queue alone where the clients of the brokers cannot be built.
pub(crate) fn run_program(name: &str, arguments: &[String]) -> Result<(), Failure> {
    let program = step::target_folder()?.join("release").join(name);
    let only_tells = arguments.iter().any(|argument| ONLY_TELLS.contains(&argument.as_str()));
    if !only_tells || !program.exists() {
        tools::provide(&tools::FOR_FEATURES, Missing::allowed())?;
        let mut build = step::cargo();
        build.args(BUILT);
        if tools::FOR_FEATURES.iter().all(|tool| tool.find().is_some()) {
            build.args(BROKERS);
        }
        step::run(&mut build)?;
    }
    step::run(Command::new(program).current_dir(step::repository()).args(arguments))
}
