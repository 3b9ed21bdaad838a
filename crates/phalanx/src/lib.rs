//! **Phalanx puts every core and every process to work for a Rust server.**
//!
//! Node.js's toolbox for parallelism, rebuilt for Rust: a cluster of worker processes on one port, worker threads with
//! a bounded pool, memory that processes share.
//!
//! ```text
//!   your program ── primary ──┬── worker 1 ── event loop ── thread pool ── threads
//!   (one executable)          └── worker 2 ── event loop ── thread pool ── threads
//!                                    one listening socket, one set of permits for the cores
//! ```
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     phalanx::init()?; // the first line of main: worker processes are this same executable
//!     phalanx::cluster()
//!         .listen("127.0.0.1:3000")
//!         .on_event(|event| eprintln!("{event}"))
//!         .run(|worker| async move {
//!             let (permits, owner) = worker.permits();
//!             let pool = phalanx::thread::ThreadPool::builder().permits(permits, owner).build()?;
//!             let app = axum::Router::new().route(
//!                 "/",
//!                 axum::routing::get(move || {
//!                     let pool = pool.clone();
//!                     async move {
//!                         // CPU work on a thread; the event loop stays free.
//!                         let sum = pool.spawn(|_| (0..1_000_000u64).sum::<u64>()).await;
//!                         sum.map(|sum| sum.to_string()).map_err(|error| error.to_string())
//!                     }
//!                 }),
//!             );
//!             Ok(worker.http().serve(app).await?)
//!         })?;
//!     Ok(())
//! }
//! ```
//!
//! | you want | use |
//! |---|---|
//! | all cores for one port, crash-proof, drained at stop | [`cluster`] |
//! | messages, requests and connections between the processes of a cluster | [`Primary`], [`Worker`] |
//! | CPU work off the event loop, bounded, with deadlines | [`thread`] |
//! | the same work on a thread or in a sandboxed process that may crash | [`task`] |
//! | work that survives everything: durable queues, jobs with retries and results, on one machine or many | `queue` |
//! | data larger than memory, read, transformed on all cores and written: compressed, encrypted, counted | [`stream`] |
//! | pictures decoded, resized, encoded within announced memory | `image` |
//! | programs started, watched, ended with all they started; parts of this program forked; Node.js on the other end | [`process`] |
//! | typed messages, descriptors and large payloads between processes | [`channel`] |
//! | memory use, container limits, a byte budget | [`memory`] |
//! | memory that processes share | [`shared`] |
//!
//! **Promises** are those of each part; together: a worker that dies costs only the connections that it had accepted, and a
//! job process that dies costs only its one task.
//!
//! **What it does not do.** It runs on Linux only (5.10 or newer, x86-64 and aarch64).

#![forbid(unsafe_code)]

pub use phalanx_channel as channel;
pub use phalanx_cluster::*;
#[cfg(feature = "image")]
pub use phalanx_image as image;
pub use phalanx_memory as memory;
pub use phalanx_process as process;
#[cfg(not(feature = "queue"))]
pub use phalanx_process::init;
pub use phalanx_process::raise_open_files;
#[cfg(feature = "queue")]
pub use phalanx_queue as queue;
#[cfg(feature = "queue")]
pub use phalanx_queue::{init, init_with};
pub use phalanx_shared as shared;
pub use phalanx_shared::{Owner, Permits};
pub use phalanx_stream as stream;
pub use phalanx_task as task;
#[cfg(not(feature = "queue"))]
pub use phalanx_task::init_with;
pub use phalanx_task::{Executor, Task, TaskContext, TaskError, tasks};
pub use phalanx_thread as thread;

/// The programs in the documents compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tasks.md")]
struct Documents;

/// Those of queues.
#[cfg(all(doctest, feature = "queue"))]
#[doc = include_str!("../../../docs/queues.md")]
struct Queues;

/// Those of memory.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/memory.md")]
struct Memory;

/// Those of pictures.
#[cfg(all(doctest, feature = "image"))]
#[doc = include_str!("../../../docs/image.md")]
struct Pictures;

/// Those of streams.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/streams.md")]
struct Streams;
