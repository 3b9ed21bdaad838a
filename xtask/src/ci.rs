//! `cargo xtask ci`: formatting, lints, docs, tests, models, the JPEG decoder beside libjpeg-turbo's, fuzzing, torture, storms over queues, a short soak, and the figures of the first minutes.

use crate::step::{self, Failure};
use crate::tools::Missing;
use crate::{differential, features, first_minutes, fuzz, model, soak, storm, test, torture};

const FUZZ_SECONDS: u64 = 60;
/// For each keeper of a queue.
const STORM_SECONDS: &str = "15";
/// Too short for memory; every request and every blow has its turn.
const SOAK_MINUTES: &str = "0.4";

/// Runs everything; the first failing step ends it.
pub(crate) fn run() -> Result<(), Failure> {
    step::run(step::cargo().args(["fmt", "--all", "--check"]))?;
    step::run(step::cargo().args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))?;
    let features = features::provide(Missing::allowed())?;
    let mut clippy = step::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets"]).args(&features).args(["--", "-D", "warnings"]);
    step::run(&mut clippy)?;
    let mut docs = step::cargo();
    step::run(docs.args(["doc", "--workspace", "--no-deps"]).args(&features).env("RUSTDOCFLAGS", "-D warnings"))?;
    test::run(&[])?;
    model::run()?;
    differential::run(&[differential::SHORT.to_owned()])?;
    fuzz::run_all(FUZZ_SECONDS)?;
    torture::run(&["--short".to_owned()])?;
    storm::run(&["--seconds".to_owned(), STORM_SECONDS.to_owned()])?;
    soak::run(&["--minutes".to_owned(), SOAK_MINUTES.to_owned()])?;
    first_minutes::run()
}
