//! `phalanx image`, the real binary: what it makes of files and folders, and each fault: named, with nothing half-done.

#![allow(clippy::unwrap_used)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../pipe/runs.rs"]
#[allow(dead_code, reason = "a part of it")]
mod runs;

mod album;
mod bounded;
mod faults;
mod files;
mod folders;
mod signals;
mod terminal;
mod usage;
