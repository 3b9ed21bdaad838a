//! `phalanx pipe`, the real binary: what it does, and each fault: one clear line, no partial file, the right exit code.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod keys;
mod runs;
mod signals;
mod stages;
mod terminal;
mod usage;
