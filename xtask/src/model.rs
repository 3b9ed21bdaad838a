//! `cargo xtask loom`: the models of what is concurrent, in every order that loom can think of.

use crate::step::{self, Failure};

/// The crates with models.
const CRATES_WITH_MODELS: [&str; 2] = ["phalanx-shared", "phalanx-thread"];

/// Runs the models. They have a target folder of their own: the flag changes what every crate is built from.
pub(crate) fn run() -> Result<(), Failure> {
    for name in CRATES_WITH_MODELS {
        let mut tests = step::cargo();
        tests.args(["test", "--release", "--lib", "--package", name, "--target-dir"]);
        tests.arg(step::target_folder()?.join("loom"));
        // Only the models: the other tests would have no runtime under loom.
        tests.args(["--", "loom"]).env("RUSTFLAGS", "--cfg loom");
        step::run(&mut tests)?;
    }
    Ok(())
}
