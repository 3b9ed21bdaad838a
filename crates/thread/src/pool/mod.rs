//! The pool: a bounded queue, threads that work it off, and what each job's caller hears of it.

mod admission;
mod builder;
mod cancellation;
mod clock;
mod context;
mod core;
mod dispatcher;
mod drain;
mod entry;
mod error;
mod handle;
mod hands;
mod histogram;
mod init;
mod job;
mod map;
mod metrics;
#[cfg(all(test, loom))]
mod model;
#[allow(unsafe_code)]
mod scope;
mod share;
mod spin;
mod staff;
mod start;
mod state;
mod submission;
mod terms;
mod waiters;

pub use admission::Admission;
pub use builder::Builder;
pub use cancellation::Cancellation;
pub use context::JobContext;
pub use drain::{Drain, Leftover};
pub use error::{Error, JobError, Phase};
pub use handle::{JobBuilder, ThreadPool};
pub use histogram::{Distribution, Histogram};
pub use init::with_scratch;
pub use map::Map;
pub use metrics::Metrics;
pub use scope::{Scope, ScopedJob};
pub use submission::Submission;
