//! `cargo xtask storm`: builds the program that strikes queues at random, and hands over to it.

use crate::step::Failure;
use crate::torture;

/// Builds, and runs `phalanx-storm` with `arguments`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    torture::run_program("phalanx-storm", arguments)
}
