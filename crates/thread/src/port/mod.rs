//! Messages between threads: [`MessagePort`] from one to one, [`BroadcastChannel`] from one to all.

// The models use the lane alone.
#![cfg_attr(loom, allow(dead_code, unreachable_pub))]

#[cfg(not(loom))]
pub(crate) mod blocking;
#[cfg(not(loom))]
mod broadcast;
#[cfg(not(loom))]
mod channel;
mod error;
mod lane;
#[cfg(all(test, loom))]
mod model;
#[cfg(not(loom))]
pub(crate) mod queue;
#[cfg(not(loom))]
mod registry;
#[cfg(not(loom))]
mod spin;
pub(crate) mod waiters;

#[cfg(not(loom))]
pub use broadcast::{BroadcastChannel, BroadcastError};
#[cfg(not(loom))]
pub use channel::{DEFAULT_BOUND, MessageChannel, MessagePort, message_channel};
#[cfg(not(loom))]
pub use error::Closed;
pub use error::PostError;
