//! The pool: a bounded queue, threads that work it off, and what each job's caller hears of it.

mod admission;
mod builder;
mod context;
mod core;
mod deadlines;
mod dispatcher;
mod error;
mod handle;
mod histogram;
mod job;
mod lanes;
mod metrics;
#[cfg(all(test, loom))]
mod model;
mod pace;
mod share;
mod spin;
mod standing;
mod submission;

pub use admission::Admission;
pub use builder::Builder;
pub use context::JobContext;
pub use error::{Error, JobError, Phase, Refusal};
pub use handle::{Drain, JobBuilder, Leftover, ThreadPool};
pub use histogram::Distribution;
pub use metrics::Metrics;
pub use submission::Submission;
