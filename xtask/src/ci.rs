//! `cargo xtask ci`: formatting, lints, docs, tests, and the figures of the first minutes.

use crate::step::{self, Failure};
use crate::{first_minutes, test};

/// Runs everything; the first failing step ends it.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(step::cargo().args(["fmt", "--all", "--check"]))?;
    step::run(step::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step::run(step::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    test::run(&[])?;
    first_minutes::run()
}
