//! Connections that somebody else accepted (the dispatcher, another worker) and passed to this worker.
//!
//! ```text
//!   who accepted it ─ keeps a copy ─► our link ─► PassedConnections (bounded) ─► the HTTP server, or user code
//!          ▲                                                                         │
//!          └──────────────── acknowledged when it is taken, and only then ◄──────────┘
//! ```
//!
//! A connection that is dropped without being taken is not acknowledged: whoever passed it gives it to another worker.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// Most connections that wait to be taken.
const WAITING: usize = 64;

/// A connected socket on its way to whoever serves it.
#[derive(Debug)]
pub(crate) struct PassedConnection {
    socket: OwnedFd,
    taken: oneshot::Sender<()>,
}

impl PassedConnection {
    /// A connection, and what resolves when it is taken; that fails if it is dropped instead.
    #[allow(dead_code, reason = "whoever receives connections makes them")]
    pub(crate) fn new(socket: OwnedFd) -> (PassedConnection, oneshot::Receiver<()>) {
        let (taken, when_taken) = oneshot::channel();
        (PassedConnection { socket, taken }, when_taken)
    }

    /// Takes the socket: it is ours from now on.
    pub(crate) fn take(self) -> OwnedFd {
        // Nobody may be waiting for the word.
        let _ = self.taken.send(());
        self.socket
    }
}

/// The queue of passed connections of one worker.
#[derive(Debug)]
pub(crate) struct PassedConnections {
    sender: mpsc::Sender<PassedConnection>,
    receiver: Mutex<Option<mpsc::Receiver<PassedConnection>>>,
}

impl Default for PassedConnections {
    fn default() -> PassedConnections {
        let (sender, receiver) = mpsc::channel(WAITING);
        PassedConnections { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl PassedConnections {
    /// Where connections are put.
    #[allow(dead_code, reason = "whoever receives connections puts them here")]
    pub(crate) fn sender(&self) -> mpsc::Sender<PassedConnection> {
        self.sender.clone()
    }

    /// Where they come out; `None` if somebody else has it already.
    pub(crate) fn receiver(&self) -> Option<mpsc::Receiver<PassedConnection>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
