//! Durable queues: embedded by default; RabbitMQ, Kafka or PostgreSQL when one machine is outgrown. One API.
//!
//! ```text
//!               Queue::connect(URL)
//!                 │            │
//!   messages ◄────┘            └────► jobs: Jobs, QueueExecutor ──► JobRunner (phalanx work)
//!   declare, send, consume              submit, result, cancel, flow     claims, runs, renews, finishes
//!        │                                   │
//!     Broker ─ embedded · amqp · kafka · postgres      JobStore ─ embedded · postgres (· beside a broker) · plain brokers, in part
//! ```
//!
//! *Messages* are raw bytes, as any program on the same broker sees them. *Jobs* are tasks with retries, results, progress, and a
//! [`Token`] for each attempt, so that a late worker's result is refused.

#![forbid(unsafe_code)]

#[cfg(feature = "amqp")]
mod amqp;
pub mod blobs;
mod broker;
mod bytes;
mod capability;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "embedded", feature = "postgres"))]
mod cron;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod executor;
mod init;
mod io;
pub mod job;
mod jobs;
#[cfg(feature = "kafka")]
mod kafka;
mod message;
mod name;
pub mod payload;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod plain;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
mod runner;
mod time;
mod url;

pub use broker::{BoxFuture, Broker};
pub use capability::Capability;
pub use error::Error;
pub use executor::QueueExecutor;
pub use init::{init, init_with};
pub use job::{JobEnd, JobId, JobState, JobStatus, RetryPolicy, Token};
pub use jobs::{Flow, Gather, Gathering, JobError, JobHandle, JobOptions, JobWatch, Jobs};
pub use message::{ConsumeOptions, Consumer, Delivery, Message, MessageId, QueueOptions, QueueStats, Requeue, Settle};
pub use name::QueueName;
pub use queue::Queue;
pub use runner::{Builder as JobRunnerBuilder, HandedBack, Isolate, JobRunner, RunnerMetrics};
pub use time::UnixMillis;
pub use url::{Place, QueueUrl, without_password};
