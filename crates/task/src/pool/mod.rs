//! [`ProcessPool`]: job processes that run tasks, and may die of them.
//!
//! ```text
//!   submit ── pack ──► line (bounded, priorities, predicted wait) ──► a job process with room: its desk
//!     │                                   one lock (`floor.rs`), one pure structure behind it (`state/`)
//!   Submission.poll: reads the answers of all desks itself, gives the next tasks out, looks for a while, then arms the bells
//!   keeper thread: bells that nobody hears, deaths, deadlines, starts, stderr
//! ```

mod builder;
mod error;
mod events;
mod handle;
mod metrics;

pub use builder::Builder;
pub use error::PoolError;
pub use events::{Killed, PoolEvent, Recycled};
pub use handle::{Admission, Drain, Leftover, ProcessPool};
pub use metrics::PoolMetrics;
