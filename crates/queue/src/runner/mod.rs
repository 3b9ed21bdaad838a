//! [`JobRunner`]: claims jobs, runs them, and says how it went.
//!
//! ```text
//!                 ┌── claim ◄── as many as have room ───┐
//!   JobStore ─────┤                                     │
//!                 ├──► lease ──► attempt ──► Place (ProcessPool, ThreadPool): the task runs there
//!                 ├── renew ◄── progress, details, every 10 s: that we live    (Pulse)
//!                 ├──► revoked ──► attempt: cancelled, or lost
//!                 └── finish ◄── outcomes, many at once ◄── attempts            (Reports)
//! ```
//!
//! All of this is done on the thread of the queue's handle, which runs no tasks: a lease is renewed however busy the processors
//! are. How an attempt went:
//!
//! | what came of it | is reported as |
//! |---|---|
//! | an output | `Done` |
//! | an error of the task, a panic | `Failed`: tried again, as the job's policy says |
//! | an input that cannot be read, an output that is too large, a task that is not known, poison | `Failed`, hopeless |
//! | its job process died of it | `Crashed`: counted apart |
//! | its run limit passed | `Failed` |
//! | its deadline passed | `Failed`, hopeless |
//! | somebody cancelled it | `Cancelled` |
//! | the pool or the [admission](Builder::admission) had no room, the pool is shutting down, no process could be started, the runner stops | `Returned`: counts as nothing |
//! | the lease is lost | nothing: it is somebody else's |
//!
//! | file | holds |
//! |---|---|
//! | `builder` | the settings |
//! | `claims` | the loop that claims, with what there is room for |
//! | `attempt` | one lease, from its input to its outcome |
//! | `outcome` | the table above |
//! | `pulse` | what is said of attempts that run, and what is heard of them |
//! | `reports` | outcomes on their way to the store |
//! | `room` | how many leases may be in our hands |
//! | `sweep` | throws away blobs that nobody uses |

mod attempt;
mod builder;
mod claims;
mod metrics;
mod outcome;
mod pulse;
mod reports;
mod room;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phalanx_process::{Signal, Signals};
use phalanx_task::{Packed, Place, Priority};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::blobs::BlobStore;
use crate::job::JobStore;
use crate::{Error, JobId, Queue, QueueName, Token};
use attempt::{Running, Stop};
use metrics::Counters;
use pulse::Pulse;
use reports::Reports;
use room::Room;

pub use builder::{Builder, Isolate};
pub use metrics::RunnerMetrics;

/// How long reports of what was handed back may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs the jobs of one or more queues, on job processes or threads. When the last clone is dropped, what runs is cancelled and handed back
/// uncounted.
///
/// It goes on for ever: while the broker cannot be reached, it tries again.
///
/// ```no_run
/// # use phalanx_task::{Task, TaskContext, TaskError};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Sum(Vec<u64>);
/// # impl Task for Sum {
/// #     const NAME: &'static str = "sum"; type Output = u64;
/// #     fn run(self, _: &TaskContext) -> Result<u64, TaskError> { Ok(self.0.iter().sum()) }
/// # }
/// use phalanx_queue::{JobRunner, Queue};
/// use phalanx_task::tasks;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// // The first line of main: phalanx_queue::init_with(tasks![Sum])?;
/// let queue = Queue::connect("embedded:./data").await?;
/// let runner = JobRunner::builder(&queue).concurrency(4).build()?;
/// runner.run_until_signal().await?; // SIGTERM: finishes what runs within 25 s, hands back the rest
/// queue.close().await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JobRunner {
    handle: Arc<Owned>,
}

struct Owned {
    shared: Arc<Shared>,
    drain: Duration,
}

/// What an attempt was admitted with, until it has ended.
type Held = Box<dyn Send>;

/// Whether there is room for a task with this name and input.
type Admits = dyn Fn(&str, &Packed) -> Option<Held> + Send + Sync;

#[derive(Clone)]
struct Gate(Arc<Admits>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// What the parts of a runner share.
struct Shared {
    /// One id for the whole life.
    id: JobId,
    /// For people: `host:pid`.
    name: String,
    /// Open as long as we work.
    #[allow(dead_code)]
    queue: Queue,
    store: Arc<dyn JobStore>,
    blobs: Option<Arc<dyn BlobStore>>,
    place: Place,
    priority: Priority,
    queues: Vec<QueueName>,
    kinds: Vec<String>,
    room: Room,
    gate: Option<Gate>,
    running: Mutex<HashMap<Token, Running>>,
    pulse: Pulse,
    reports: Reports,
    counters: Counters,
    /// Whether it stops.
    stopping: watch::Sender<bool>,
    /// There is more room: for who claims.
    freed: Notify,
    /// A first attempt was begun: for the pulse.
    begun: Notify,
    /// Nothing runs any more.
    emptied: Notify,
    /// What runs on its thread until it has stopped.
    loops: Mutex<Vec<AbortHandle>>,
    io: Handle,
}

/// What a runner had when it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandedBack {
    /// Jobs that still ran, or had not begun, and were handed back uncounted.
    pub jobs: usize,
}

impl JobRunner {
    /// Settings to start from.
    pub fn builder(queue: &Queue) -> Builder {
        Builder::new(queue)
    }

    /// All in one: connects, runs the tasks of [`init_with`](crate::init_with) in job processes until SIGTERM or SIGINT, and closes the
    /// connection. `phalanx work` is not more than that.
    ///
    /// Errors: those of [`Queue::connect`], [`Builder::build`] and [`run_until_signal`](JobRunner::run_until_signal).
    pub async fn run(url: &str) -> Result<HandedBack, Error> {
        let queue = Queue::connect(url).await?;
        let handed_back = JobRunner::builder(&queue).build()?.run_until_signal().await;
        queue.close().await;
        handed_back
    }

    /// Claims no more; waits at most this long for what runs; hands back the rest, uncounted. Ready when the store knows all of it, or 5 s
    /// later.
    pub async fn stop(&self, within: Duration) -> HandedBack {
        let shared = self.handle.shared.clone();
        // On its own thread, so that it needs no runtime of the caller.
        let stopped = shared.io.clone().spawn(async move { shared.stop(within).await });
        stopped.await.unwrap_or(HandedBack { jobs: 0 })
    }

    /// Runs until SIGTERM or SIGINT, or until the connection is closed; then [stops](JobRunner::stop) within its [drain time](Builder::drain). A second signal ends the wait.
    ///
    /// [`Error::Unavailable`] if somebody else of this program takes these signals already.
    pub async fn run_until_signal(self) -> Result<HandedBack, Error> {
        let failed = |error: &dyn fmt::Display| Error::unavailable("the job runner", error);
        let signals = Signals::take(&[Signal::Terminate, Signal::Interrupt]).map_err(|error| failed(&error))?;
        let runner = self.clone();
        let run = async move {
            let pipe = Receiver::from_owned_fd(signals.as_fd().try_clone_to_owned()?)?;
            tokio::select! {
                first = next_signal(&signals, &pipe) => first?,
                // Its connection was closed.
                () = runner.handle.shared.stopping() => {}
            }
            let drain = runner.handle.drain;
            tokio::select! {
                handed_back = runner.handle.shared.stop(drain) => Ok(handed_back),
                second = next_signal(&signals, &pipe) => {
                    second?;
                    Ok(runner.handle.shared.stop(Duration::ZERO).await)
                }
            }
        };
        let run = self.handle.shared.io.spawn(run);
        match run.await {
            Ok(result) => result.map_err(|error: std::io::Error| failed(&error)),
            Err(_) => Err(Error::Closed),
        }
    }

    /// What it has done and does.
    pub fn metrics(&self) -> RunnerMetrics {
        self.handle.shared.counters.read(self.handle.shared.running().len())
    }
}

async fn next_signal(signals: &Signals, pipe: &Receiver) -> std::io::Result<()> {
    loop {
        pipe.readable().await?;
        // With nothing in it the second look says so to the event loop.
        if signals.next().is_some() || pipe.try_read(&mut [0]).is_ok() {
            return Ok(());
        }
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<Token, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when the runner is to stop.
    async fn stopping(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender is ours.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Tells an attempt to stop, if it is still that one.
    fn tell(&self, token: Token, stop: Stop) {
        if let Some(running) = self.running().get_mut(&token) {
            running.tell(stop);
        }
    }

    /// All that runs goes back.
    fn hand_back(&self) -> usize {
        let mut running = self.running();
        running.values_mut().for_each(|running| running.tell(Stop::HandBack));
        running.len()
    }

    async fn stop(&self, within: Duration) -> HandedBack {
        self.stopping.send_replace(true);
        let _ = tokio::time::timeout(within, self.is_empty()).await;
        let jobs = self.hand_back();
        let _ = tokio::time::timeout(LAST_WORDS, async {
            self.is_empty().await;
            self.reports.all_said().await;
        })
        .await;
        let loops = std::mem::take(&mut *self.loops.lock().unwrap_or_else(PoisonError::into_inner));
        loops.into_iter().for_each(|running| running.abort());
        HandedBack { jobs }
    }

    async fn is_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.running().is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let shared = self.shared.clone();
        shared.io.clone().spawn(async move { shared.stop(Duration::ZERO).await });
    }
}

impl fmt::Debug for JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.handle.shared;
        f.debug_struct("JobRunner")
            .field("name", &shared.name)
            .field("queues", &shared.queues)
            .field("running", &shared.running().len())
            .finish_non_exhaustive()
    }
}
