//! What every broker promises, as tests: written once, run for each of them.
//!
//! ```text
//!   Harness { connect, has } ─► messages::run(NAME, &harness, "")  each case: fresh queues, two connections, compare
//!                            └► jobs::run(NAME, &harness, "")
//! ```
//!
//! Cases name what they need of a broker (a [`Capability`](crate::Capability), or a [`messages::Power`]), and are skipped with
//! a line where it is not promised. They wait for events, and give up after [`GIVE_UP`] only when something is broken.

// Tests, though they are called from others.
#![allow(clippy::unwrap_used)]

pub mod jobs;
pub mod messages;
mod waiting;

use std::time::Duration;

pub use waiting::wait;

/// Longer than anything here takes; reached only when something is broken.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// How the cases went, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Promises that were kept.
    pub passed: Vec<&'static str>,
    /// Promises that were broken.
    pub failed: Vec<&'static str>,
}
