//! The accept loops of a worker: one for each listener, gated, and paused where a worker should not take more. A worker
//! that is held accepts nothing until it is admitted; it answers probes.

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
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tower_service::Service;

use super::drain::Drain;
use super::peer::Client;
use super::stream::{Open, WatchedStream};
use super::sweeper::Connections;
use super::transport::{Socket, Transport};
use super::{Limits, connection, probe};
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

/// When the connections that were there at the end of the drain deadline were told to close, their tasks get this long
/// to do so.
const LAST_TURNS: Duration = Duration::from_millis(50);

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
    let door = Door { connections: Connections::new(limits.clone()), worker: Arc::clone(&worker), service };
    let connections = Arc::clone(&door.connections);
    // What runs beside the acceptors, until the last connection is gone.
    let mut beside = JoinSet::new();
    beside.spawn({
        let connections = Arc::clone(&connections);
        async move { connections.sweep().await }
    });
    if let Some(probes) = worker.take_probes() {
        beside.spawn(probe::answer(door.clone(), probes));
    }
    let unread = Arc::new(Unread::default());
    let mut acceptors = JoinSet::new();
    for (index, listener) in worker.listeners.iter().enumerate() {
        let socket = listener.as_fd().try_clone_to_owned().map_err(Error::system("copy a listener"))?;
        let acceptor = Acceptor {
            index,
            listener: Watched::for_reading(socket).map_err(Error::system("watch a listener"))?,
            gate: gate(&worker).map_err(Error::system("set up the accept gate"))?,
            unread: Arc::clone(&unread),
            max_connections: limits.max_connections,
            door: door.clone(),
        };
        acceptors.spawn(acceptor.run());
    }
    beside.spawn(say_when_serving(Arc::clone(&worker)));
    while let Some(ended) = acceptors.join_next().await {
        ended.map_err(|error| Error::Worker(error.into()))??;
    }
    let mut life = worker.life.clone();
    let _ = life.wait_for(|life| *life != Life::Serving).await;
    worker.slot.set(Field::Accepting, 0);
    drain(&worker, &connections).await;
    Ok(())
}

/// A worker is ready as soon as it can serve. One that is held serves nothing but probes until it is admitted.
async fn say_when_serving(worker: Arc<Inner>) {
    let mut admitted = worker.admitted.clone();
    if *admitted.borrow() {
        worker.slot.set(Field::Accepting, 1);
        worker.listening();
        worker.ready();
        return;
    }
    worker.ready();
    if admitted.wait_for(|admitted| *admitted).await.is_ok() && *worker.life.borrow() == Life::Serving {
        worker.slot.set(Field::Accepting, 1);
        worker.listening();
    }
}

/// Lets the connections come to their end, and closes those that do not.
async fn drain(worker: &Inner, connections: &Connections) {
    let mut life = worker.life.clone();
    loop {
        let now = *life.borrow_and_update();
        if let Some(drain) = Drain::of(now, Instant::now()) {
            connections.drain(drain);
        }
        tokio::select! {
            () = connections.below(1) => return,
            () = tokio::time::sleep_until(end_of_drain(now).into()) => break,
            // A worker that leaves alone may hear that all leave.
            Ok(()) = life.changed() => {}
        }
    }
    connections.close();
    let _ = tokio::time::timeout(LAST_TURNS, connections.below(1)).await;
}

fn gate(worker: &Inner) -> std::io::Result<Option<AcceptGate>> {
    match worker.gate {
        Gate::On => AcceptGate::new(Arc::clone(&worker.slot), Arc::clone(&worker.siblings)).map(Some),
        Gate::Off => Ok(None),
    }
}

/// When the last connection has to be gone.
fn end_of_drain(life: Life) -> Instant {
    match life {
        Life::Leaving { until, .. } => until,
        Life::Orphaned { until } => until - BEFORE_THE_END,
        Life::Serving => Instant::now(),
    }
}

/// Where connections come in, wherever they come from.
#[derive(Clone)]
pub(super) struct Door<S> {
    worker: Arc<Inner>,
    connections: Arc<Connections>,
    service: S,
}

impl<S, B> Door<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<AnyError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<AnyError>,
{
    pub(super) fn worker(&self) -> &Arc<Inner> {
        &self.worker
    }

    /// Begins to serve a connection. `unread` is given back when it was read for the first time.
    pub(super) fn begin(&self, socket: OwnedFd, client: Client, unread: Option<UnreadPlace>) {
        let slot = Arc::clone(&self.worker.slot);
        slot.add(Field::Connections, 1);
        slot.add(Field::Accepted, 1);
        let ip = match &client {
            Client::Tcp(address) => Some(address.ip()),
            Client::Unix(_) => None,
        };
        let open = Open { ticket: self.connections.admit(ip), slot };
        match Socket::new(socket, &client) {
            Ok(socket) => {
                let stream = WatchedStream::new(Transport::Plain(socket), open, unread);
                tokio::spawn(connection::serve(stream, client, self.service.clone()));
            }
            Err(error) => tracing::warn!("a connection was lost ({client:?}): {error}"),
        }
    }
}

/// The loop in front of one listener.
struct Acceptor<S> {
    /// Which of the worker's listeners it is.
    index: usize,
    listener: Watched,
    gate: Option<AcceptGate>,
    unread: Arc<Unread>,
    max_connections: usize,
    door: Door<S>,
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
        let mut life = self.door.worker.life.clone();
        tokio::select! {
            biased;
            _ = life.wait_for(|life| *life != Life::Serving) => {}
            Err(error) = self.accept_for_ever() => return Err(error),
        }
        self.leave();
        Ok(())
    }

    async fn accept_for_ever(&mut self) -> Result<std::convert::Infallible, Error> {
        self.admitted().await;
        loop {
            self.wait_for_room().await;
            let (socket, client) = self.next().await?;
            self.begin(socket, client);
            // One connection a turn: the new one is read before the next is taken.
            tokio::task::yield_now().await;
        }
    }

    async fn admitted(&mut self) {
        let mut admitted = self.door.worker.admitted.clone();
        if admitted.wait_for(|admitted| *admitted).await.is_err() {
            // The life-line is gone, and the process with it.
            std::future::pending::<()>().await;
        }
    }

    /// The next connection that is ours to take.
    async fn next(&mut self) -> Result<(OwnedFd, Client), Error> {
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
                    Fate::Exhausted => pause(&self.door.worker.slot, error).await,
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
        let Door { connections, worker, .. } = &self.door;
        if connections.count() >= self.max_connections {
            worker.slot.set(Field::Accepting, 0);
            connections.below(self.max_connections).await;
            worker.slot.set(Field::Accepting, 1);
        }
    }

    fn begin(&self, socket: OwnedFd, client: Client) {
        self.door.begin(socket, client, Some(UnreadPlace::take(&self.unread)));
    }

    /// The last moments: when the whole cluster goes, what already waits in the backlog is served, and then the port
    /// is shut for all holders, so that a stopped one does not keep it.
    fn leave(&mut self) {
        let worker = &self.door.worker;
        let with_all = match *worker.life.borrow() {
            Life::Leaving { with_all, .. } => with_all,
            Life::Orphaned { .. } => true,
            Life::Serving => false,
        };
        if !with_all || !*worker.admitted.borrow() {
            return;
        }
        for _ in 0..MAX_LAST_CONNECTIONS {
            match accept(&self.listener) {
                Ok((socket, client)) => self.begin(socket, client),
                Err(error) if fate(error) == Fate::ClientGone => {}
                Err(_) => break,
            }
        }
        worker.listeners[self.index].shut();
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

fn accept(listener: &impl AsFd) -> Result<(OwnedFd, Client), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
    let client = address.and_then(|address| Client::of(&socket, &address));
    client.map(|client| (socket, client)).ok_or(Errno::CONNABORTED)
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
