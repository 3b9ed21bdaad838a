//! The promises of message ports and broadcast channels, each tried with real threads. Nothing sleeps and hopes: tests
//! wait for events, and give up after [`gate::GIVE_UP`] only when something is broken.

// loom replaces the locks; its models are in the crate itself.
#![cfg(not(loom))]
// Clippy knows test functions, but not what they call.
#![allow(clippy::unwrap_used)]

mod broadcast;
mod ending;
mod fairness;
mod gate;
mod messages;
mod races;
