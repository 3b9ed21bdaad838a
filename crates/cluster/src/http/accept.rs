//! The accept loops of a worker: one for each listener, gated, and paused where a worker should not take more.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ::http::{Request, Response};
use bytes::Buf;
use http_body::Body;
use hyper::body::Incoming;
use phalanx_channel::Watched;
use phalanx_shared::{Field, Slot};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower_service::Service;

use super::Limits;
use super::connection::{self, Open};
use super::sweeper::Connections;
use crate::builder::AnyError;
use crate::gate::AcceptGate;
use crate::lifeline::Life;
use crate::worker::Inner;
use crate::{Error, Gate};

/// Most connections that were accepted and not read from yet: what a worker that is killed can lose at most without
/// having begun it.
const MAX_UNREAD: usize = 4;

/// Pause after an accept that failed for want of a resource, such as open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Most connections taken from the backlog by a worker that leaves with all others.
const MAX_LAST_CONNECTIONS: usize = 4096;

/// When the listener was shut by a sibling, the word that the cluster ends reaches us within this time.
const NEWS_DEADLINE: Duration = Duration::from_secs(1);

/// A worker that leaves lets go of its last connections this long before its process would be ended.
const BEFORE_THE_END: Duration = Duration::from_millis(100);

/// Serves on all listeners of the worker until it has to leave.
pub(super) async fn serve<S, B>(worker: Arc<Inner>, limits: Limits, service: S) -> Result<(), Error>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<AnyError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<AnyError>,
{
    let connections = Connections::new(limits.clone());
    let sweeper = tokio::spawn({
        let connections = Arc::clone(&connections);
        async move { connections.sweep().await }
    });
    let mut acceptors = JoinSet::new();
    for (index, listener) in worker.listeners.iter().enumerate() {
        let socket = listener.as_fd().try_clone_to_owned().map_err(Error::system("copy a listener"))?;
        let acceptor = Acceptor {
            index,
            listener: Watched::for_reading(socket).map_err(Error::system("watch a listener"))?,
            gate: gate(&worker).map_err(Error::system("set up the accept gate"))?,
            worker: Arc::clone(&worker),
            connections: Arc::clone(&connections),
            unread: Arc::default(),
            max_connections: limits.max_connections,
            service: service.clone(),
        };
        acceptors.spawn(acceptor.run());
    }
    worker.slot.set(Field::Accepting, 1);
    worker.serving()?;
    while let Some(ended) = acceptors.join_next().await {
        ended.map_err(|error| Error::Worker(error.into()))??;
    }
    worker.slot.set(Field::Accepting, 0);
    connections.drain();
    let _ = tokio::time::timeout_at(end_of_drain(&worker).into(), connections.below(1)).await;
    sweeper.abort();
    Ok(())
}

fn gate(worker: &Inner) -> std::io::Result<Option<AcceptGate>> {
    match worker.gate {
        Gate::On => AcceptGate::new(Arc::clone(&worker.slot), Arc::clone(&worker.siblings)).map(Some),
        Gate::Off => Ok(None),
    }
}

/// When the last connection has to be gone.
fn end_of_drain(worker: &Inner) -> Instant {
    match *worker.life.borrow() {
        Life::Leaving { until, .. } => until,
        Life::Orphaned { until } => until - BEFORE_THE_END,
        Life::Serving => Instant::now(),
    }
}

/// The loop in front of one listener.
struct Acceptor<S> {
    /// Which of the worker's listeners it is.
    index: usize,
    listener: Watched,
    gate: Option<AcceptGate>,
    worker: Arc<Inner>,
    connections: Arc<Connections>,
    unread: Arc<Unread>,
    max_connections: usize,
    service: S,
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<AnyError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<AnyError>,
{
    async fn run(mut self) -> Result<(), Error> {
        let mut life = self.worker.life.clone();
        tokio::select! {
            biased;
            _ = life.wait_for(|life| *life != Life::Serving) => {}
            Err(error) = self.accept_for_ever() => return Err(error),
        }
        self.leave();
        Ok(())
    }

    async fn accept_for_ever(&mut self) -> Result<std::convert::Infallible, Error> {
        loop {
            self.wait_for_room().await;
            let (socket, peer) = self.next().await?;
            self.begin(socket, peer);
            // One connection a turn: the new one is read before the next is taken.
            tokio::task::yield_now().await;
        }
    }

    /// The next connection that is ours to take.
    async fn next(&mut self) -> Result<(OwnedFd, SocketAddr), Error> {
        loop {
            let mut ready = self.listener.readable().await.map_err(Error::system("wait for a connection"))?;
            let listener = &self.listener;
            if let Some(gate) = &mut self.gate
                && !gate.may_accept(listener).await.map_err(Error::system("wait at the accept gate"))?
            {
                ready.clear_ready();
                continue;
            }
            match accept(listener) {
                Ok(accepted) => return Ok(accepted),
                Err(error) => match fate(error) {
                    Fate::NothingWaits => ready.clear_ready(),
                    Fate::ClientGone => {}
                    Fate::Exhausted => pause(&self.worker.slot, error).await,
                    Fate::ListenerBroken => {
                        // A sibling that learned before us that the primary is gone has shut the port: we are about
                        // to hear the same, which ends this wait.
                        tokio::time::sleep(NEWS_DEADLINE).await;
                        return Err(Error::System { attempt: "accept connections", source: error.into() });
                    }
                },
            }
        }
    }

    /// Waits until this worker may hold one more connection. Meanwhile the others know that it takes none.
    async fn wait_for_room(&mut self) {
        self.unread.below(MAX_UNREAD).await;
        if self.connections.count() >= self.max_connections {
            self.worker.slot.set(Field::Accepting, 0);
            self.connections.below(self.max_connections).await;
            self.worker.slot.set(Field::Accepting, 1);
        }
    }

    fn begin(&mut self, socket: OwnedFd, peer: SocketAddr) {
        let slot = Arc::clone(&self.worker.slot);
        slot.add(Field::Connections, 1);
        slot.add(Field::Accepted, 1);
        let open = Open { ticket: self.connections.admit(peer.ip()), slot };
        let place = UnreadPlace::take(&self.unread);
        match TcpStream::from_std(socket.into()) {
            Ok(stream) => {
                tokio::spawn(connection::serve(stream, peer, open, place, self.service.clone()));
            }
            Err(error) => tracing::warn!("a connection from {peer} was lost: {error}"),
        }
    }

    /// The last moments: when the whole cluster goes, what already waits in the backlog is served, and then the port
    /// is shut for all holders, so that a stopped one does not keep it.
    fn leave(&mut self) {
        let with_all = match *self.worker.life.borrow() {
            Life::Leaving { with_all, .. } => with_all,
            Life::Orphaned { .. } => true,
            Life::Serving => false,
        };
        if !with_all {
            return;
        }
        for _ in 0..MAX_LAST_CONNECTIONS {
            match accept(&self.listener) {
                Ok((socket, peer)) => self.begin(socket, peer),
                Err(error) if fate(error) == Fate::ClientGone => {}
                Err(_) => break,
            }
        }
        self.worker.listeners[self.index].shut();
    }
}

async fn pause(slot: &Slot, error: Errno) {
    tracing::warn!("accept pauses for {} ms: {error}", EXHAUSTED_PAUSE.as_millis());
    slot.set(Field::Accepting, 0);
    tokio::time::sleep(EXHAUSTED_PAUSE).await;
    slot.set(Field::Accepting, 1);
}

/// What a failed accept means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    NothingWaits,
    ClientGone,
    Exhausted,
    ListenerBroken,
}

/// Linux hands errors of the new connection to `accept` (accept(2)): they are about one client, not about us.
fn fate(error: Errno) -> Fate {
    match error {
        Errno::AGAIN => Fate::NothingWaits,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Fate::Exhausted,
        Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT => Fate::ListenerBroken,
        _ => Fate::ClientGone,
    }
}

fn accept(listener: &impl AsFd) -> Result<(OwnedFd, SocketAddr), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    address.map(|address| (socket, address)).ok_or(Errno::CONNABORTED)
}

/// Counts the connections that were accepted and not read from yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    count: AtomicUsize,
    given_back: Notify,
}

impl Unread {
    async fn below(&self, most: usize) {
        loop {
            let given_back = self.given_back.notified();
            if self.count.load(Ordering::Relaxed) < most {
                return;
            }
            given_back.await;
        }
    }
}

/// The place of one unread connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct UnreadPlace(Arc<Unread>);

impl UnreadPlace {
    fn take(unread: &Arc<Unread>) -> UnreadPlace {
        unread.count.fetch_add(1, Ordering::Relaxed);
        UnreadPlace(Arc::clone(unread))
    }
}

impl Drop for UnreadPlace {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.given_back.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_client_does_not_end_the_loop() {
        for error in [Errno::CONNABORTED, Errno::PROTO, Errno::NETDOWN, Errno::HOSTUNREACH, Errno::INTR] {
            assert_eq!(fate(error), Fate::ClientGone);
        }
        assert_eq!(fate(Errno::MFILE), Fate::Exhausted);
        assert_eq!(fate(Errno::INVAL), Fate::ListenerBroken);
    }
}
