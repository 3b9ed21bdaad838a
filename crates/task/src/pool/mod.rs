//! [`ProcessPool`]: job processes that run tasks, and may die of them.
//!
//! ```text
//!   submit ── pack ──► line (bounded, priorities, predicted wait) ──► a job process with room: its desk
//!     │                                   one lock (`floor.rs`), one pure structure behind it (`state/`)
//!   Submission.poll: reads the answers of all desks itself, gives the next tasks out, looks for a while; the bells are armed
//!   keeper thread: bells that nobody hears, deaths, deadlines, starts, stderr (`keeper.rs`)
//! ```
//!
//! ```no_run
//! use phalanx_task::{Executor, ProcessPool, Task, TaskContext, TaskError, tasks};
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Square(u64);
//!
//! impl Task for Square {
//!     const NAME: &'static str = "square";
//!     type Output = u64;
//!
//!     fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
//!         Ok(self.0 * self.0)
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     phalanx_task::init_with(tasks![Square])?; // the first line: a job process never comes further
//!     let processes = ProcessPool::builder().on_event(|event| eprintln!("{event}")).build()?;
//!     assert_eq!(processes.submit(Square(12)).wait(Duration::from_secs(10))?, 144);
//!     Ok(())
//! }
//! ```
//!
//! **How it decides.** A task goes to an idle process. Where none is, one more is started, up to
//! [`max_processes`](Builder::max_processes); meanwhile tasks that are known to be short are queued behind short ones in the
//! ring of a process, so that they need no round trip each. Whatever waits longer than 2 ms behind a task that takes its time is
//! taken back and given to another process. Whether a task is let in at all is decided as in a
//! [`ThreadPool`](phalanx_thread::ThreadPool): by a bound, and by a prediction of its wait.
//!
//! **Promises.** Every submission ends, with the output or one [`TaskError`](crate::TaskError), whatever its process does. A crash costs the one
//! task that had begun; those that waited behind it are given to another process. No task runs twice. At a deadline the caller is
//! told at once, and the process is killed after a [grace](Builder::kill_grace) if its task does not stop. An input that kills its
//! process three times is refused. No process outlives the pool, or its owner, or is left as a zombie. What is truly denied to the
//! processes can be [asked](ProcessPool::confinement), and is never less than was [required](crate::SandboxPolicy::Require).
//!
//! **What it does not do.** It never tries again what had begun: that is what queues are for. It does not keep a task from using
//! its share of the processor; limits, deadlines and niceness bound it. A large input is copied once into memory that the process
//! can read, from 256 KiB on by a thread of the pool: 0.3 ms for 1 MiB, in which it kills nobody. In a job process no pool can be built.

mod admission;
mod builder;
mod drain;
mod error;
mod events;
mod floor;
mod handle;
mod heavy;
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
