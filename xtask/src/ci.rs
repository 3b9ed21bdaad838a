//! `cargo xtask ci`: formatting, lints, docs, tests, models, fuzzing, torture, and the figures of the first minutes.

use crate::step::{self, Failure};
use crate::{first_minutes, fuzz, model, test, torture};

const FUZZ_SECONDS: u64 = 30;

/// Runs everything; the first failing step ends it.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(step::cargo().args(["fmt", "--all", "--check"]))?;
    step::run(step::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    step::run(step::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step::run(step::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test::run(&[])?;
    model::run()?;
    fuzz::run_all(FUZZ_SECONDS)?;
    torture::run(&["--short".to_owned()])?;
    first_minutes::run()
}
