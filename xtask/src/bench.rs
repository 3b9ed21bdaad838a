//! `cargo xtask bench`: builds what is measured in release mode and hands over to the program of `bench/`.

use crate::step::{self, Failure};
use crate::tools;

/// Cases that measure `phalanx serve`; the others bring a server of their own.
const CASES_WITH_THE_BINARY: [&str; 4] = ["upload", "process", "overload", "task"];

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
    }
    step::run(step::cargo().args(["build", "--release", "--package", "phalanx-bench", "--bins"]))?;
    let shown: &[String] = if arguments.is_empty() { &["--help".to_owned()] } else { arguments };
    step::run(step::cargo().args(["run", "--quiet", "--release", "--package", "phalanx-bench", "--"]).args(shown))
}
