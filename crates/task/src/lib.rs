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

#![forbid(unsafe_code)]

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
mod pool;
mod progress;
mod registry;
mod span;
mod submission;
mod task;
mod thread;

pub use context::{Host, TaskContext};
pub use error::{Crash, Ending, Phase, Refusal, TaskError};
pub use executor::Executor;
pub use init::{InitError, init_with};
pub use options::SubmitOptions;
pub use packed::{PackError, Packed};
pub use phalanx_process::{Confinement, Sandbox, SandboxPolicy};
pub use phalanx_shared::Blob;
pub use phalanx_thread::Priority;
pub use pool::{Admission, Builder, Drain, Killed, Leftover, PoolError, PoolEvent, PoolMetrics, ProcessPool, Recycled};
pub use progress::{Progress, ProgressCell, ProgressStream};
pub use registry::{Registry, RegistryError};
pub use submission::{Pending, Submission, TaskId};
pub use task::Task;
