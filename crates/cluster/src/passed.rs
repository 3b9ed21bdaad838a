//! Connections that come to a worker already accepted: from the dispatcher, from a socket that another place lent, from
//! another worker.
//!
//! ```text
//!   dispatcher's link ──┐      ┌──── asks for one ───┐
//!   lent sockets ───────┼──► room ──── one ──────────┴──► the HTTP server, or `Worker::connections`
//!   other workers ──────┘
//! ```
//!
//! Whoever serves asks for one connection at a time; only then is one taken (claimed, accepted) from where it waits. So
//! nothing piles up in here, and what is not taken can still go to another worker.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use phalanx_shared::{Field, Slot};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};

use crate::lifeline::Life;

/// Where connections come in, and who wants them.
#[derive(Debug)]
pub(crate) struct Passed {
    receiver: Mutex<Option<Receiver>>,
    wanted: watch::Sender<bool>,
    /// Weak, so that the receiver learns when nobody can send any more.
    sender: mpsc::WeakSender<OwnedFd>,
    asked: Arc<Semaphore>,
    slot: Arc<Slot>,
}

/// The end at which connections come in.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    sender: mpsc::Sender<OwnedFd>,
    asked: Arc<Semaphore>,
    slot: Arc<Slot>,
}

/// The end at which they come out.
#[derive(Debug)]
pub(crate) struct Receiver {
    receiver: mpsc::Receiver<OwnedFd>,
    asked: Arc<Semaphore>,
    slot: Arc<Slot>,
    /// Whether one was asked for that has not come yet.
    waits: bool,
}

/// Somebody waits for one connection. Given back if it is not used.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    sender: &'a mpsc::Sender<OwnedFd>,
    asked: Option<SemaphorePermit<'a>>,
    counted: Counted<'a>,
}

/// Counts as a connection of this worker: from before it is taken, so that the scoreboard of a worker which is killed never
/// says too little.
#[derive(Debug)]
struct Counted<'a>(&'a Slot);

impl<'a> Counted<'a> {
    fn on(slot: &'a Slot) -> Counted<'a> {
        slot.add(Field::Connections, 1);
        Counted(slot)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.subtract(Field::Connections, 1);
    }
}

impl Passed {
    /// Must be called inside a runtime. As long as the worker serves, connections may come.
    pub(crate) fn new(mut life: watch::Receiver<Life>, slot: Arc<Slot>) -> Arc<Passed> {
        let (sender, receiver) = mpsc::channel(1);
        let (wanted, _) = watch::channel(false);
        let asked = Arc::new(Semaphore::new(0));
        let receiver = Receiver { receiver, asked: Arc::clone(&asked), slot: Arc::clone(&slot), waits: false };
        let receiver = Mutex::new(Some(receiver));
        let passed = Passed { receiver, wanted, sender: sender.downgrade(), asked, slot: Arc::clone(&slot) };
        tokio::spawn(async move {
            let _ = life.wait_for(|life| *life != Life::Serving).await;
            slot.set(Field::Accepting, 0);
            drop(sender);
        });
        Arc::new(passed)
    }

    /// Takes the end at which they come out; `None` for all but the first who asks. It is at its end when the worker
    /// leaves and everything that was under way has come out.
    pub(crate) fn take(&self) -> Option<Receiver> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.wanted.send_replace(true);
        Some(receiver)
    }

    /// The end at which they come in, once somebody wants them; `None` if the worker leaves before.
    pub(crate) async fn sender(&self) -> Option<Sender> {
        let sender = self.sender.upgrade()?;
        self.wanted.subscribe().wait_for(|wanted| *wanted).await.ok()?;
        Some(Sender { sender, asked: Arc::clone(&self.asked), slot: Arc::clone(&self.slot) })
    }
}

impl Sender {
    /// Waits until somebody asks for a connection; `None` if nobody will any more.
    pub(crate) async fn room(&self) -> Option<Room<'_>> {
        let asked = Some(self.asked.acquire().await.ok()?);
        Some(Room { sender: &self.sender, asked, counted: Counted::on(&self.slot) })
    }

    /// The same, if somebody asks at this moment.
    pub(crate) fn room_now(&self) -> Option<Room<'_>> {
        let asked = Some(self.asked.try_acquire().ok()?);
        Some(Room { sender: &self.sender, asked, counted: Counted::on(&self.slot) })
    }
}

impl Room<'_> {
    /// Hands over the connection.
    pub(crate) fn fill(mut self, socket: OwnedFd) {
        // There is place for the one that was asked for. A receiver that is gone drops it with all it had.
        if self.sender.try_send(socket).is_ok() {
            self.asked.take().into_iter().for_each(SemaphorePermit::forget);
            // Whoever serves it counts it himself.
            std::mem::forget(self.counted);
        }
    }
}

impl Receiver {
    /// Asks for a connection and waits for it; `None` if no more can come. May be dropped and called again: the one that was
    /// asked for comes then.
    pub(crate) async fn next(&mut self) -> Option<OwnedFd> {
        if !std::mem::replace(&mut self.waits, true) {
            self.asked.add_permits(1);
        }
        let socket = self.receiver.recv().await;
        self.waits = false;
        if socket.is_some() {
            self.slot.subtract(Field::Connections, 1);
        }
        socket
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.asked.close();
    }
}

/// The connections that somebody else has accepted for this worker: see [`Worker::connections`](crate::Worker::connections).
#[derive(Debug)]
pub struct Connections {
    receiver: Option<Receiver>,
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
    pub(crate) fn new(receiver: Option<Receiver>) -> Connections {
        Connections { receiver }
    }

    /// The next connection. It is this worker's from now on: nobody else has it. `None` when the worker leaves and none is
    /// left, or if somebody else takes them (the HTTP server).
    ///
    /// Errors: what the operating system says of that one connection; the next may well be better.
    pub async fn next(&mut self) -> Option<io::Result<Connection>> {
        let socket = self.receiver.as_mut()?.next().await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> OwnedFd {
        std::os::unix::net::UnixStream::pair().unwrap().0.into()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_is_taken_before_it_is_asked_for_and_nothing_comes_after_the_end() {
        let (leave, life) = watch::channel(Life::Serving);
        let slot = Arc::new(Slot::create().unwrap());
        let passed = Passed::new(life, Arc::clone(&slot));
        let mut receiver = passed.take().unwrap();
        assert!(passed.take().is_none());
        let sender = passed.sender().await.unwrap();
        assert!(sender.room_now().is_none());
        let asking = tokio::spawn(async move {
            assert!(receiver.next().await.is_some());
            receiver
        });
        let room = sender.room().await.unwrap();
        assert!(sender.room_now().is_none(), "one was asked for");
        assert_eq!(slot.get(Field::Connections), 1);
        drop(room);
        sender.room_now().unwrap().fill(socket());
        let mut receiver = asking.await.unwrap();
        assert_eq!(slot.get(Field::Connections), 0);
        assert!(sender.room_now().is_none());
        leave.send_replace(Life::Orphaned { until: std::time::Instant::now() });
        drop(sender);
        assert!(receiver.next().await.is_none());
        assert!(passed.sender().await.is_none());
    }
}
