//! [`ProcessPool`]: job processes that run tasks, and may die of them.
//!
//! ```text
//!   submit ── pack ──► line (bounded, priorities, predicted wait) ──► a job process with room: its desk
//!     │                                   one lock (`inner.rs`), one pure structure behind it (`state/`)
//!   Submission.poll: reads the answers of all desks itself, gives the next tasks out, looks for a while, then arms the bells
//!   keeper thread: bells that nobody hears, deaths, deadlines, starts, stderr
//! ```

mod admission;
mod builder;
mod drain;
mod error;
mod events;
mod handle;
mod inner;
mod keeper;
mod metrics;
mod parcel;
mod pending;
mod poison;
mod spin;
mod state;
mod station;
mod stderr;
mod table;

pub use admission::Admission;
pub use builder::Builder;
pub use drain::{Drain, Leftover};
pub use error::PoolError;
pub use events::{Killed, PoolEvent, Recycled};
pub use handle::ProcessPool;
pub use metrics::PoolMetrics;
