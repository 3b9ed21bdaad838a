//! [`Event`]: what happens in a cluster, as the primary sees it.

use std::fmt;
use std::time::Duration;

use phalanx_memory::Leak;
use phalanx_process::ExitStatus;

use crate::supervisor::{Holder, KillReason, RecycleReason};
use crate::{ListenAddress, Message, Place, Reply, WorkerId};

/// Why and how a worker ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitReason {
    /// How its process ended; `None` if it could not even be started.
    pub status: Option<ExitStatus>,
    /// True if it was told to leave (Node: `exitedAfterDisconnect`) or ended with 0 because its work is done, false for a
    /// crash.
    pub voluntary: bool,
    /// What it said before it ended.
    pub error: Option<String>,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Some(status) => write!(f, "{status}")?,
            None => write!(f, "it could not be started")?,
        }
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

/// What happens in a cluster. A worker's own events come in the order of Node's: `Fork`, `Online`, `Listening` (one a
/// listener), `Ready`, `Message`s, `Disconnect`, `Exit`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A worker process was started.
    Fork {
        /// The worker.
        worker: WorkerId,
        /// Its process.
        pid: u32,
        /// The place that it takes.
        place: Place,
    },
    /// The worker runs our code.
    Online {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker accepts connections.
    Listening {
        /// The worker.
        worker: WorkerId,
        /// Where.
        address: ListenAddress,
    },
    /// The worker says that it can serve.
    Ready {
        /// The worker.
        worker: WorkerId,
        /// From its start.
        after: Duration,
    },
    /// The worker sent a message.
    Message {
        /// The worker.
        worker: WorkerId,
        /// The message, still encoded.
        message: Message,
    },
    /// A worker that is a [program](crate::Cluster::program) says this of itself (`STATUS=` on `NOTIFY_SOCKET`), or to the primary of
    /// its own kind (`process.send` of Node).
    Said {
        /// The worker.
        worker: WorkerId,
        /// Its words; a message of Node as JSON.
        text: String,
    },
    /// A worker that was a [program](crate::Cluster::program) has ended, and a process that it started lives on, away from it. It is sent
    /// SIGTERM, and SIGKILL 5 s later.
    LeftBehind {
        /// The worker.
        worker: WorkerId,
        /// The process.
        pid: u32,
    },
    /// The worker asks something. Dropping every clone of `reply` tells it that there will be no answer.
    Request {
        /// The worker.
        worker: WorkerId,
        /// The question, still encoded.
        message: Message,
        /// The right to answer.
        reply: Reply,
    },
    /// The worker was told to leave and accepts nothing more.
    Disconnect {
        /// The worker.
        worker: WorkerId,
    },
    /// The worker is killed by us.
    Killed {
        /// The worker.
        worker: WorkerId,
        /// Why.
        why: KillReason,
    },
    /// The worker's process has ended.
    Exit {
        /// The worker.
        worker: WorkerId,
        /// Its process.
        pid: u32,
        /// Why and how.
        reason: ExitReason,
        /// Connections that it had open; for a crash, the most that its end can have cost.
        connections: u64,
    },
    /// A place waits before its next start.
    BackOff {
        /// The place.
        place: Place,
        /// How long.
        wait: Duration,
    },
    /// A place's workers died too often before it was ready: its breaker is open, the others serve on.
    BreakerOpen {
        /// The place.
        place: Place,
        /// Until the next attempt.
        probe_in: Duration,
    },
    /// No worker lives for too long: the listeners are closed, so that clients fail fast, until one is started.
    ListenersClosed,
    /// The cluster begins to stop.
    Stopping,
    /// A reload, an upgrade or another operation has begun.
    Began {
        /// Its number, from 1.
        operation: u64,
        /// What it is: `reload`, `upgrade`, `rollback`, `scale`, `recycle`.
        kind: &'static str,
    },
    /// The operation goes on in the new program, which has taken over the process.
    Resumed {
        /// Its number.
        operation: u64,
        /// What it is: `upgrade` or `rollback`.
        kind: &'static str,
    },
    /// The operation is over.
    Ended {
        /// Its number.
        operation: u64,
        /// What it is.
        kind: &'static str,
        /// Why it failed; `None` if it did what was asked.
        failure: Option<String>,
    },
    /// A worker has had its share and is replaced, new first.
    Recycle {
        /// The worker.
        worker: WorkerId,
        /// What it has had.
        why: RecycleReason,
    },
    /// A place's worker asked not to be started again (exit code 78): only a reload tries the place again.
    GaveUp {
        /// The place.
        place: Place,
    },
    /// The log files were moved away (SIGUSR1): whoever writes one opens it anew.
    ReopenLogs,
    /// A worker seems to leak. Said once for each resource and worker.
    Leak {
        /// The worker.
        worker: WorkerId,
        /// What grows, how fast, and how sure that is.
        leak: Leak,
    },
    /// A worker is to be replaced, and there is not enough memory for its successor beside it. It is said once of a worker,
    /// which waits for a moment, and then leaves before its successor starts, if all others serve.
    ShortOfMemory {
        /// The worker.
        worker: WorkerId,
        /// What the worker uses, and a margin, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// The cluster begins, and its workers have a hard limit of memory.
    HardLimit {
        /// The limit of each, in bytes.
        bytes: u64,
        /// Who holds them below it.
        holder: Holder,
        /// The kernel's control groups, or why there are none.
        details: String,
    },
    /// The kernel has ended processes of a worker, or the worker itself: together they used more than the hard limit.
    OutOfMemory {
        /// The worker.
        worker: WorkerId,
        /// How many processes.
        processes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A worker's event loop stood still; its threads are asked where they are, and then it is killed.
    Hung {
        /// The worker.
        worker: WorkerId,
    },
    /// Where the threads of a hung worker stood.
    Stacks {
        /// The worker.
        worker: WorkerId,
        /// A paragraph for each thread.
        text: String,
    },
}

impl Event {
    /// Its name, in small letters: `fork`, `ready`, `back-off`…
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Fork { .. } => "fork",
            Event::Online { .. } => "online",
            Event::Listening { .. } => "listening",
            Event::Ready { .. } => "ready",
            Event::Message { .. } => "message",
            Event::Request { .. } => "request",
            Event::Disconnect { .. } => "disconnect",
            Event::Killed { .. } => "killed",
            Event::Exit { .. } => "exit",
            Event::BackOff { .. } => "back-off",
            Event::BreakerOpen { .. } => "breaker-open",
            Event::ListenersClosed => "listeners-closed",
            Event::Stopping => "stopping",
            Event::Began { .. } => "began",
            Event::Resumed { .. } => "resumed",
            Event::Ended { .. } => "ended",
            Event::Recycle { .. } => "recycle",
            Event::GaveUp { .. } => "gave-up",
            Event::ReopenLogs => "reopen-logs",
            Event::Leak { .. } => "leak",
            Event::ShortOfMemory { .. } => "short-of-memory",
            Event::HardLimit { .. } => "hard-limit",
            Event::OutOfMemory { .. } => "out-of-memory",
            Event::Hung { .. } => "hung",
            Event::Stacks { .. } => "stacks",
            Event::Said { .. } => "said",
            Event::LeftBehind { .. } => "left-behind",
        }
    }

    /// The worker that it speaks of.
    pub fn worker(&self) -> Option<WorkerId> {
        match self {
            Event::Fork { worker, .. }
            | Event::Online { worker }
            | Event::Listening { worker, .. }
            | Event::Ready { worker, .. }
            | Event::Message { worker, .. }
            | Event::Request { worker, .. }
            | Event::Disconnect { worker }
            | Event::Killed { worker, .. }
            | Event::Exit { worker, .. }
            | Event::Recycle { worker, .. }
            | Event::Stacks { worker, .. }
            | Event::Leak { worker, .. }
            | Event::OutOfMemory { worker, .. }
            | Event::ShortOfMemory { worker, .. }
            | Event::Said { worker, .. }
            | Event::LeftBehind { worker, .. }
            | Event::Hung { worker } => Some(*worker),
            _ => None,
        }
    }

    /// The place that it speaks of.
    pub fn place(&self) -> Option<Place> {
        match self {
            Event::Fork { place, .. }
            | Event::BackOff { place, .. }
            | Event::BreakerOpen { place, .. }
            | Event::GaveUp { place, .. } => Some(*place),
            _ => None,
        }
    }

    /// The number of the operation that it speaks of.
    pub fn operation(&self) -> Option<u64> {
        match self {
            Event::Began { operation, .. } | Event::Resumed { operation, .. } | Event::Ended { operation, .. } => {
                Some(*operation)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Fork { worker, pid, .. } => write!(f, "worker {worker} started (pid {pid})"),
            Event::Online { worker } => write!(f, "worker {worker} is online"),
            Event::Listening { worker, address } => write!(f, "worker {worker} listens on {address}"),
            Event::Ready { worker, after } => write!(f, "worker {worker} is ready after {} ms", after.as_millis()),
            Event::Message { worker, .. } => write!(f, "worker {worker} sent a message"),
            Event::Request { worker, .. } => write!(f, "worker {worker} asks something"),
            Event::Disconnect { worker } => write!(f, "worker {worker} leaves: it accepts nothing more and drains"),
            Event::Killed { worker, why } => write!(f, "worker {worker} is killed: {why}"),
            Event::Exit { worker, pid, reason, connections } => {
                let how = if reason.voluntary { "left" } else { "died" };
                write!(f, "worker {worker} (pid {pid}) {how} with {connections} connections open: {reason}")
            }
            Event::BackOff { place, wait } => {
                write!(f, "place {place} starts its next worker in {} ms", wait.as_millis())
            }
            Event::BreakerOpen { place, probe_in } => write!(
                f,
                "the workers of place {place} died too often before they were ready; it is tried again in {} s, the others serve on",
                probe_in.as_secs()
            ),
            Event::ListenersClosed => write!(f, "no worker lives: the listeners are closed until one is started"),
            Event::Began { operation, kind } => write!(f, "{kind} (operation {operation}) begins"),
            Event::Resumed { operation, kind } => {
                write!(f, "{kind} (operation {operation}) goes on in the new program (pid {})", std::process::id())
            }
            Event::Ended { operation, kind, failure: None } => write!(f, "{kind} (operation {operation}) is done"),
            Event::Ended { operation, kind, failure: Some(why) } => {
                write!(f, "{kind} (operation {operation}) failed: {why}")
            }
            Event::Recycle { worker, why } => write!(f, "worker {worker} is recycled: {why}"),
            Event::GaveUp { place } => {
                write!(f, "the worker of place {place} asked not to be started again: only a reload tries it again")
            }
            Event::ReopenLogs => write!(f, "log files are opened anew"),
            Event::Said { worker, text } => write!(f, "worker {worker} says: {text}"),
            Event::LeftBehind { worker, pid } => {
                write!(f, "worker {worker} has left process {pid} behind, which is ended")
            }
            Event::Leak { worker, leak } => write!(f, "worker {worker} seems to leak: {leak}"),
            Event::ShortOfMemory { worker, needed, free } => write!(
                f,
                "worker {worker} is to be replaced, but its successor may need {} MiB beside it and {} MiB are free: it waits, and then leaves first if all others serve",
                needed >> 20,
                free >> 20
            ),
            Event::HardLimit { bytes, holder, details } => {
                let mib = bytes >> 20;
                match holder {
                    Holder::Kernel => write!(
                        f,
                        "each worker may use at most {mib} MiB of memory, with its job processes; the kernel holds it there: {details}"
                    ),
                    Holder::Primary => write!(
                        f,
                        "each worker may use at most {mib} MiB of memory; it is looked at once a second, because there are no control groups: {details}"
                    ),
                }
            }
            Event::OutOfMemory { worker, processes, limit } => write!(
                f,
                "the kernel ended {processes} of the processes of worker {worker}: together they used more than their limit of {} MiB",
                limit >> 20
            ),
            Event::Hung { worker } => write!(f, "worker {worker} hangs: its event loop stands still"),
            Event::Stacks { worker, text } => write!(f, "the threads of worker {worker}:\n{text}"),
            Event::Stopping => write!(f, "stopping: the workers finish what they have"),
        }
    }
}
