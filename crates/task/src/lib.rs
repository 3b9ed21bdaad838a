//! One task, three places to run it: on a thread, in a crash-proof process, or (with a queue) on any machine.
//!
//! ```text
//!                                ┌─ ThreadPool ───── moved, not copied ──────────► a thread
//!   executor.submit(Thumbnail) ──┼─ ProcessPool ──── shared memory ──────────────► a job process: sandboxed, killable
//!        .await ◄────────────────┴─ QueueExecutor ── durable, retried ───────────► any machine
//! ```
//!
//! A [`Task`] is a named function with serialisable input and output. Only the executor at the call site says where it
//! runs. What comes back is the same everywhere: the output, or one [`TaskError`].
//!
//! ```
//! use phalanx_task::{Executor, Task, TaskContext, TaskError};
//! use phalanx_thread::ThreadPool;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Sum(Vec<u64>);
//!
//! impl Task for Sum {
//!     const NAME: &'static str = "sum";
//!     type Output = u64;
//!
//!     fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
//!         Ok(self.0.iter().sum())
//!     }
//! }
//!
//! async fn total(executor: &impl Executor) -> Result<u64, TaskError> {
//!     executor.submit(Sum(vec![1, 2, 3])).await
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let threads = ThreadPool::builder().threads(1).build()?;
//! assert_eq!(total(&threads).await, Ok(6));
//! // In a job process: `init_with(tasks![Sum])` is the first line of main, and then
//! // let processes = ProcessPool::builder().build()?;
//! // assert_eq!(total(&processes).await, Ok(6));
//! # Ok::<(), phalanx_thread::Error>(()) }).unwrap();
//! ```
//!
//! **Promises.** Every submission ends exactly once. Every line is bounded, and what does not fit is refused at once. A panic is an
//! error of its task everywhere; in a process so is a crash, and no other task is harmed. What is dropped or too late before it
//! began never runs. No pool runs a task twice. The suite behind the feature `conformance` holds every executor to it.
//!
//! **What it does not do.** It does not stop a thread: there a task has to [look](TaskContext::check). It keeps nothing over a restart and
//! tries nothing again: that is what queues are for. More: [`ProcessPool`], and `docs/tasks.md`.

#![forbid(unsafe_code)]

mod attempt;
mod blocking;
#[cfg(feature = "conformance")]
pub mod conformance;
mod context;
#[doc(hidden)]
pub mod desk;
mod error;
mod executor;
mod init;
#[doc(hidden)]
pub mod job;
mod options;
mod packed;
mod place;
mod pool;
mod progress;
mod registry;
mod span;
mod submission;
mod task;
mod thread;

pub use attempt::{Attempt, PackedTask};
pub use context::{Host, TaskContext};
pub use error::{Crash, Ending, Phase, Refusal, TaskError};
pub use executor::Executor;
pub use init::{InitError, init_with, registered};
pub use options::SubmitOptions;
pub use packed::{PackError, Packed};
pub use phalanx_process::{Confinement, Sandbox, SandboxPolicy};
pub use phalanx_shared::Blob;
pub use phalanx_thread::Priority;
pub use place::Place;
pub use pool::{Admission, Builder, Drain, Killed, Leftover, PoolError, PoolEvent, PoolMetrics, ProcessPool, Recycled};
pub use progress::{Progress, ProgressCell, ProgressStream};
pub use registry::{Registry, RegistryError};
pub use submission::{Pending, Submission, TaskId};
pub use task::Task;
