//! [`Now`] and [`ClientId`]: what the engine is told by whoever drives it.

use std::time::Duration;

use crate::UnixMillis;

/// The moment of a call, by two clocks. Waits and leases use `since_start`, which never jumps; what must survive a restart (delays,
/// deadlines, expiry) uses `wall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// By the clock on the wall.
    pub wall: UnixMillis,
    /// Since the engine was opened, or any moment before; by the monotonic clock.
    pub since_start: Duration,
}

/// A connection of a client, numbered by the owner and never used again in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);
