//! `cargo xtask differential`: our JPEG decoder beside libjpeg-turbo's, on files of every kind that its programs can make.

use std::process::Command;

use crate::features;
use crate::step::{self, Failure};
use crate::tools::{self, Missing};

const PACKAGE: &str = "phalanx-bench-image";
const PROGRAM: &str = "phalanx-differential";
/// Without photos: for every change.
pub(crate) const SHORT: &str = "--short";

/// Builds the program and hands `arguments` over to it.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    tools::provide(&[tools::JPEG_PROGRAMS], Missing::allowed())?;
    if tools::JPEG_PROGRAMS.find().is_none() {
        return Ok(());
    }
    let mut build = step::cargo();
    if arguments.iter().any(|argument| argument == SHORT) {
        // With the features of the tests, so that nothing is built twice.
        build.args(["build", "--workspace", "--bin", PROGRAM]).args(features::provide(Missing::allowed())?);
        step::run(&mut build)?;
        return step::run(Command::new(step::target_folder()?.join("debug").join(PROGRAM)).args(arguments));
    }
    build.args(["run", "--release", "--package", PACKAGE, "--bin", PROGRAM, "--"]).args(arguments);
    step::run(&mut build)
}
