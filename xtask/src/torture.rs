//! `cargo xtask torture`: builds the binary and the torturer in release mode and hands over to the program of `torture/`.

use crate::step::{self, Failure};

/// Builds, and runs `phalanx-torture` with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let only_tells = ["-h", "--help", "-V", "--version", "--list"];
    if !arguments.iter().any(|argument| only_tells.contains(&argument.as_str())) {
        step::run(step::cargo().args(["build", "--release", "--package", "phalanx-server"]))?;
        step::run(step::cargo().args(["build", "--release", "--package", "phalanx-torture", "--bins"]))?;
    }
    let mut torture = step::cargo();
    torture.args(["run", "--quiet", "--release", "--package", "phalanx-torture", "--bin", "phalanx-torture", "--"]);
    step::run(torture.args(arguments))
}
