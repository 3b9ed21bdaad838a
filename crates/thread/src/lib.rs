//! Threads for servers: workers with an event loop and a port, channels between threads, and a bounded pool for work
//! that burns a processor.
//!
//! ```text
//!   your event loop                                        other threads
//!   Worker::spawn(data, body) ── post ─► queue ─ recv ──►  event loop, your body
//!      ▲ recv, event ◄── Online · messages · Error · Exit ◄─────┘
//!
//!   MessagePort<A, B>    ── post ─► queue ─ recv ───────►  MessagePort<B, A>
//!                        ◄─ recv ── queue ◄─ post ───────
//!   BroadcastChannel<T>  ── post ─► a queue each ───────►  all others of its name
//!
//!   ThreadPool::spawn ───► refused if full or too late ─►  n threads
//!      .await ◄─────────────── result ◄─────────────────────────┘
//! ```
//!
//! | you want | use |
//! |---|---|
//! | to compute something off the event loop, and its result | [`ThreadPool`] |
//! | something that lives on, with state and messages of its own | [`Worker`] |
//! | two threads that talk, whoever started them | [`message_channel`] |
//! | all threads to hear something | [`BroadcastChannel`] |
//! | code that may crash, or must be killed | a process: `phalanx_process::fork` |
//!
//! What is posted is moved, never copied: a picture costs what a number costs. Every queue has a bound, and posting
//! into a full one waits.
//!
//! # Workers
//!
//! ```
//! use phalanx_thread::{Worker, WorkerEvent};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let worker = Worker::spawn("Hello", async |scope| {
//!     while let Some(name) = scope.recv().await {
//!         scope.post(format!("{}, {name}!", scope.worker_data())).await?;
//!     }
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! worker.post("worker".to_owned()).await?;
//! assert_eq!(worker.event().await, Some(WorkerEvent::Online));
//! assert_eq!(worker.event().await, Some(WorkerEvent::Message("Hello, worker!".to_owned())));
//! assert_eq!(worker.terminate().await, 1);
//! assert_eq!(worker.event().await, Some(WorkerEvent::Exit(1)));
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Promises.** [`Online`](WorkerEvent::Online) comes first, messages in their order before an error, and
//! [`Exit`](WorkerEvent::Exit) last; they fit also if nobody reads. A panic or an error of the body ends that worker
//! and is a value with its text and place. What a worker posted or wrote before it ended is delivered, however it
//! ended. A value that was not posted comes back. A channel that is closed delivers what was queued, then both sides
//! see the end. A worker that nobody holds ends; what has ended leaves no thread, descriptor or memory behind. Whoever
//! waits looks for 20 µs at most before it sleeps, only where that has helped lately, with turns for the other tasks of
//! its thread, and never under a processor quota.
//!
//! **What it does not do.** It cannot stop a thread: [`Worker::terminate`] ends a worker at its next await or
//! [`checkpoint`](WorkerScope::checkpoint), and a loop that has neither runs on. It does not contain crashes or bound
//! memory: a stack overflow, an abort, an allocation that fails end the whole process, and with `panic = "abort"` so
//! does a panic, and [`WorkerScope::exit`]. Workers share the environment variables and the working directory of the
//! process. A worker does not keep the process alive. All that is what processes are for.
//!
//! # The pool
//!
//! An event loop that computes serves nobody meanwhile. So it hands the work over and awaits the result:
//!
//! ```
//! use phalanx_thread::{JobError, Refusal, ThreadPool};
//! use std::time::Duration;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let pool = ThreadPool::builder().name("cpu").threads(2).max_wait(Duration::from_secs(1)).build()?;
//!
//! let sum = pool.spawn(|_| (1..=1_000_000_u64).sum::<u64>());
//! match sum.await {
//!     Ok(sum) => println!("{sum}"),
//!     Err(JobError::Refused(Refusal::TooLongWait { retry_after, .. })) => println!("503, come back in {retry_after:?}"),
//!     Err(error) => println!("500: {error}"),
//! }
//! # Ok::<(), phalanx_thread::Error>(())
//! # }).unwrap();
//! ```
//!
//! ```text
//!   event loop                 the pool                            threads
//!   spawn  ─► would it wait > 1 s? ─► yes: Refused, Retry-After
//!                │ no
//!                ▼             ┌ 9 ┬ cheap (< 5 ms) ▒▒▒▒ ┐ 8 : 1    idle: spin 10 µs,
//!      wake a sleeper,         │   └ heavy            ▒▒ ┘ ─────►   sleep, then end
//!      or start a thread,      │ …              1 of 42 at least
//!      if nobody looks         └ 0 ─ …                              busy: permit ─►
//!                                                                   closure ─► result
//!   .await ◄─────────────── waker ◄──────────────────────────────────────────┘
//!   dropped: out of the queue at once; a running job sees is_cancelled()
//! ```
//!
//! | many jobs | by |
//! |---|---|
//! | more items than memory, results in order | [`ThreadPool::map`] |
//! | a handful at once | [`ThreadPool::spawn_many`] |
//! | that borrow what the caller has | [`ThreadPool::scope`] |
//! | that need a decoder or a connection each | [`Builder::init`], [`JobContext::with_state`] |
//! | that all end with one word | [`Cancellation`] |
//! | of which two of one name must not run at a time | [`JobBuilder::spawn_once`] |
//!
//! **How it decides** (the [`line`](mod@line) in front of the threads, which other executors use too). Jobs carry an estimate of their cost (or get the mean of what such jobs took). The pool measures
//! how fast it works estimates off, in wall-clock time, and refuses what would wait longer than `max_wait` in a burst,
//! or longer than `standing_wait` once the queue has not emptied for a while; it learns by itself that estimates are
//! wrong by a factor, or that other processes took the cores. A job of a higher [`Priority`] goes first, but of 42 starts
//! at least one is of each priority that waits; of equal ones cheap jobs overtake heavy ones, eight to one. With
//! [permits](Builder::permits), all processes of a cluster share the cores. Threads are started when jobs wait and
//! nobody is idle, from [`min_threads`](Builder::min_threads) to [`max_threads`](Builder::max_threads). Of tiny jobs
//! (5 µs by estimate) a thread takes up to 32 at once while all threads are busy: one of a higher priority that comes
//! meanwhile starts up to 20 µs later, by estimate; and what a stuck thread has taken along is run by the others.
//!
//! **Promises.** Every submission ends: with the result, or with one [`JobError`]; also if the job panics (the thread
//! lives on), if its deadline passes while every thread is stuck (told within about a millisecond), if no thread can be
//! started, or if the pool is dropped. The queue is bounded in
//! jobs and in predicted time. A job whose caller is gone never starts, and what it captured is freed at once. No job
//! runs twice. An idle thread spins for 10 µs at most, and who awaits the only job of the pool for 3 µs: only if that
//! recently paid off, only on free cores, never under a processor quota.
//!
//! **What it does not do.** It cannot stop a thread: a job that never asks [`JobContext::is_cancelled`] keeps its
//! thread after its deadline (its caller is told in time; the rest of the pool goes on). It survives panics, not
//! crashes: for that there are processes. With `panic = "abort"` a panic is a crash. It is not for work that waits
//! (files, sockets): that is what the runtime is for. It runs no job twice and never again. Jobs of one
//! priority and one class of cost start in their order; nothing is said of when they end.
//!
//! The first pool or worker installs a panic hook, which is quiet for jobs and for bodies of workers, and hands all
//! other panics to the hook before it.

// One file is allowed some: the pool's `scope.rs`.
#![deny(unsafe_code)]

pub mod line;
mod panic;
mod pool;
mod port;
mod sleepers;
mod sync;
#[cfg(not(loom))]
mod worker;

pub use line::{Priority, Refusal};
pub use panic::catch_panic;
pub use pool::{
    Admission, Builder, Cancellation, Distribution, Drain, Error, Histogram, JobBuilder, JobContext, JobError,
    Leftover, Map, Metrics, Phase, Scope, ScopedJob, Submission, ThreadPool, with_scratch,
};
#[cfg(not(loom))]
pub use port::{
    BroadcastChannel, BroadcastError, Closed, DEFAULT_BOUND, MessageChannel, MessagePort, PostError, message_channel,
};
pub use sleepers::Sleepers;
#[cfg(not(loom))]
pub use worker::{
    Cancelled, ExitValue, Output, OutputLines, ParentPort, SpawnError, StillRunning, Terminated, Terminating, Worker,
    WorkerBuilder, WorkerError, WorkerEvent, WorkerOutput, WorkerScope, environment_data, is_main_thread, parent_port,
    remove_environment_data, set_environment_data, thread_id,
};
