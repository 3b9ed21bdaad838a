//! The owner: the one process that has the store of a folder open, and everybody's work in its hands.
//!
//! ```text
//!   lock ─► stale socket away ─► bind ─► Engine::open ─► listen ─► "Listens"
//!
//!   ┌► wait for sockets (epoll), or until something is due
//!   │   read from all that are ready ─► frames ─► engine.apply     while a commit runs, requests gather in the
//!   │   engine.commit (one fsync for all)                          sockets: that is the batch of the next turn
//!   └── answers, leases, deliveries into all sockets
//! ```
//!
//! One thread does all of it: reading, the model and SQLite. It never waits for a client: what a socket does not take is kept, within a
//! bound; then the client is cut off, and what it had comes back.

mod checkpoints;
mod connection;
mod listener;
mod log;
mod role;
mod serve;
pub(crate) mod started;

use std::path::PathBuf;
use std::time::Duration;

pub use role::Owner;
pub(crate) use role::{ROLE, play};

/// How long an owner that was started on demand stays after its last client has gone: 5 s.
pub(crate) const STAYS: Duration = Duration::from_secs(5);

/// When an owner ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// When nobody was there for [`STAYS`], or at SIGTERM or SIGINT.
    WhileUsed,
    /// At SIGTERM; the keyboard's signals are for whoever supervises it.
    UntilTold,
}

/// Exit code of an owner that found another one: `EX_TEMPFAIL` of sysexits.h.
pub(crate) const ANOTHER_OWNS: i32 = 75;
/// Exit code of an owner that cannot use its folder: `EX_CANTCREAT` of sysexits.h.
pub(crate) const CANNOT: i32 = 73;

/// What an owner is to do.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    pub(crate) folder: PathBuf,
    pub(crate) stay: Stay,
}
