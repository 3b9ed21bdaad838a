//! Connections that come to a worker already accepted: from the dispatcher, from a socket that another place lent, from
//! another worker.
//!
//! ```text
//!   dispatcher's link ──┐
//!   lent sockets ───────┼──► room for one ──► the HTTP server, or `Worker::connections`
//!   other workers ──────┘
//! ```
//!
//! Who has a connection first asks for room, and takes it (accepts, claims) only then: nothing piles up in here, and what
//! is not taken can still go to another worker.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use phalanx_shared::{Field, Slot};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::lifeline::Life;

/// Connections that were taken and are not served yet.
const TAKEN_AHEAD: usize = 1;

/// Where connections come in, and who wants them.
#[derive(Debug)]
pub(crate) struct Passed {
    receiver: Mutex<Option<mpsc::Receiver<OwnedFd>>>,
    wanted: watch::Sender<bool>,
    /// Weak, so that the receiver learns when nobody can send any more.
    sender: mpsc::WeakSender<OwnedFd>,
}

impl Passed {
    /// Must be called inside a runtime. As long as the worker serves, connections may come.
    pub(crate) fn new(mut life: watch::Receiver<Life>, slot: Arc<Slot>) -> Arc<Passed> {
        let (sender, receiver) = mpsc::channel(TAKEN_AHEAD);
        let (wanted, _) = watch::channel(false);
        let passed = Passed { receiver: Mutex::new(Some(receiver)), wanted, sender: sender.downgrade() };
        tokio::spawn(async move {
            let _ = life.wait_for(|life| *life != Life::Serving).await;
            slot.set(Field::Accepting, 0);
            drop(sender);
        });
        Arc::new(passed)
    }

    /// Takes the end at which they come out; `None` for all but the first who asks. It is at its end when the worker
    /// leaves and everything that was under way has come out.
    pub(crate) fn take(&self) -> Option<mpsc::Receiver<OwnedFd>> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.wanted.send_replace(true);
        Some(receiver)
    }

    /// The end at which they come in, once somebody wants them; `None` if the worker leaves before.
    pub(crate) async fn sender(&self) -> Option<mpsc::Sender<OwnedFd>> {
        let sender = self.sender.upgrade();
        self.wanted.subscribe().wait_for(|wanted| *wanted).await.ok()?;
        sender
    }
}

/// The connections that somebody else has accepted for this worker: see [`Worker::connections`](crate::Worker::connections).
#[derive(Debug)]
pub struct Connections {
    receiver: Option<mpsc::Receiver<OwnedFd>>,
}

/// A connection that somebody else has accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Connection {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Connections {
    pub(crate) fn new(receiver: Option<mpsc::Receiver<OwnedFd>>) -> Connections {
        Connections { receiver }
    }

    /// The next connection. It is this worker's from now on: nobody else has it. `None` when the worker leaves and none is
    /// left, or if the HTTP server takes them.
    ///
    /// Errors: what the operating system says of that one connection; the next may well be better.
    pub async fn next(&mut self) -> Option<io::Result<Connection>> {
        let socket = self.receiver.as_mut()?.recv().await?;
        Some(Connection::new(socket))
    }
}

impl Connection {
    fn new(socket: OwnedFd) -> io::Result<Connection> {
        match rustix::net::sockopt::socket_domain(&socket)? {
            rustix::net::AddressFamily::UNIX => UnixStream::from_std(socket.into()).map(Connection::Unix),
            _ => TcpStream::from_std(socket.into()).map(Connection::Tcp),
        }
    }
}
