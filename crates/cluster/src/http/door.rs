//! The door of a worker: where connections come in, whoever accepted them, and where they wait while there is no room.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phalanx_shared::Field;
use rustix::io::Errno;
use tokio::sync::Notify;

use super::Limits;
use super::connection::{self, Terms};
use super::peer::Client;
use super::stream::{Open, WatchedStream};
use super::sweeper::Connections;
use super::transport::{Socket, Transport};
use super::web_service::WebService;
use crate::Error;
use crate::lifeline::Life;
use crate::passed::Receiver;
use crate::worker::Inner;

/// Most connections that were accepted and not read from yet: what a worker that is killed can lose at most without
/// having begun it.
const MAX_UNREAD: usize = 4;

/// What every way in shares. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door<S> {
    worker: Arc<Inner>,
    connections: Arc<Connections>,
    unread: Arc<Unread>,
    max_connections: usize,
    terms: Terms,
    service: S,
}

impl<S: WebService> Door<S> {
    pub(super) fn new(worker: Arc<Inner>, limits: &Limits, terms: Terms, service: S) -> Door<S> {
        let connections = Connections::new(limits.clone(), Arc::clone(&worker.slot));
        Door { worker, connections, unread: Arc::default(), max_connections: limits.max_connections, terms, service }
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    pub(super) fn worker(&self) -> &Arc<Inner> {
        &self.worker
    }

    /// Waits until connections may be taken.
    pub(super) async fn admitted(&mut self) {
        let mut admitted = self.worker.admitted.clone();
        if admitted.wait_for(|admitted| *admitted).await.is_err() {
            // The life-line is gone, and the process with it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this worker may hold one more connection. Meanwhile the others know that it takes none.
    pub(super) async fn wait_for_room(&mut self) {
        self.unread.below(MAX_UNREAD).await;
        if self.connections.count() >= self.max_connections {
            self.worker.slot.set(Field::Accepting, 0);
            self.connections.below(self.max_connections).await;
            self.worker.slot.set(Field::Accepting, 1);
        }
    }

    /// Takes connections that others accepted. When this worker leaves, it is at its end as soon as everything that was
    /// under way has come.
    pub(super) async fn take_passed(mut self, mut passed: Receiver) -> Result<(), Error> {
        let mut life = self.worker.life.clone();
        loop {
            tokio::select! {
                biased;
                // What comes now was promised before: it is not left waiting for others to end.
                _ = life.wait_for(|life| *life != Life::Serving) => {}
                () = self.wait_for_room() => {}
            }
            match passed.next().await {
                Some(socket) => self.begin_passed(socket),
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    fn begin_passed(&self, socket: OwnedFd) {
        let client = rustix::net::getpeername(&socket)
            .and_then(|address| Client::of(&socket, address).ok_or(Errno::NOTSOCK))
            .and_then(|client| rustix::io::ioctl_fionbio(&socket, true).map(|()| client));
        match client {
            Ok(client) => self.begin_accepted(socket, client),
            // Its client has gone meanwhile.
            Err(Errno::NOTCONN) => {}
            Err(error) => tracing::warn!("what was passed to this worker is no connection: {error}"),
        }
    }

    /// Begins to serve a connection that may be waiting for its first byte.
    pub(super) fn begin_accepted(&self, socket: OwnedFd, client: Client) {
        self.begin(socket, client, Some(UnreadPlace::take(&self.unread)));
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
                tokio::spawn(connection::serve(stream, client, self.terms.clone(), self.service.clone()));
            }
            Err(error) => tracing::warn!("a connection was lost ({client:?}): {error}"),
        }
    }
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
