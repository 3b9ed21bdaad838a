//! The promises of the pool, each tried with real threads. Nothing sleeps and hopes: tests wait for events, and give up
//! after [`gate::GIVE_UP`] only when something is broken.

// loom replaces the locks; its models are in the crate itself.
#![cfg(not(loom))]
// Clippy knows test functions, but not what they call.
#![allow(clippy::unwrap_used)]

mod admission;
mod batch;
mod cancel;
mod deadlines;
mod drain;
mod gate;
mod hands;
mod init;
mod map;
mod model;
mod once;
mod outcome;
mod permits;
mod priority;
mod scope;
mod size;
mod stress;
