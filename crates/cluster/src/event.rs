//! [`Event`]: what happens in a cluster, as the primary sees it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;
use serde::de::DeserializeOwned;

use crate::{Error, WorkerId};

/// Why and how a worker ended.
#[derive(Debug, Clone, PartialEq)]
pub struct ExitReason {
    /// How its process ended; `None` if it could not even be started.
    pub status: Option<ExitStatus>,
    /// True if it was told to leave (Node: `exitedAfterDisconnect`), false for a crash.
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
        slot: SlotIndex,
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
        address: SocketAddr,
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
        why: &'static str,
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
    /// A slot waits before its next start.
    BackOff {
        /// The slot.
        slot: SlotIndex,
        /// How long.
        wait: Duration,
    },
    /// A slot died too often before it was ready: its breaker is open, the others serve on.
    BreakerOpen {
        /// The slot.
        slot: SlotIndex,
        /// Until the next attempt.
        probe_in: Duration,
    },
    /// No worker lives for too long: the listeners are closed, so that clients fail fast, until one is started.
    ListenersClosed,
    /// The cluster begins to stop.
    Stopping,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Fork { worker, pid, .. } => write!(f, "worker {worker} started (pid {pid})"),
            Event::Online { worker } => write!(f, "worker {worker} is online"),
            Event::Listening { worker, address } => write!(f, "worker {worker} listens on {address}"),
            Event::Ready { worker, after } => write!(f, "worker {worker} is ready after {} ms", after.as_millis()),
            Event::Message { worker, .. } => write!(f, "worker {worker} sent a message"),
            Event::Disconnect { worker } => write!(f, "worker {worker} leaves: it accepts nothing more and drains"),
            Event::Killed { worker, why } => write!(f, "worker {worker} is killed: {why}"),
            Event::Exit { worker, pid, reason, connections } => {
                let how = if reason.voluntary { "left" } else { "died" };
                write!(f, "worker {worker} (pid {pid}) {how} with {connections} connections open: {reason}")
            }
            Event::BackOff { slot, wait } => {
                write!(f, "slot {} starts its next worker in {} ms", slot.0, wait.as_millis())
            }
            Event::BreakerOpen { slot, probe_in } => write!(
                f,
                "slot {} died too often before it was ready; it is tried again in {} s, the others serve on",
                slot.0,
                probe_in.as_secs()
            ),
            Event::ListenersClosed => write!(f, "no worker lives: the listeners are closed until one is started"),
            Event::Stopping => write!(f, "stopping: the workers finish what they have"),
        }
    }
}

/// A message of a worker, still encoded.
#[derive(Debug, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new(bytes: Vec<u8>) -> Message {
        Message(bytes)
    }

    /// The message as a `T`, which must be the type that was sent.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        postcard::from_bytes(&self.0).map_err(|why| Error::Message { why: why.to_string() })
    }

    /// The encoded bytes (postcard).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
