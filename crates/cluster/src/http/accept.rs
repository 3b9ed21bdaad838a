//! The accept loops of a worker: one for each listener, gated, and paused where a worker should not take more. A worker
//! that is held accepts nothing until it is admitted.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use phalanx_channel::Watched;
use phalanx_shared::{Field, Slot};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::door::Door;
use super::peer::Client;
use super::web_service::WebService;
use crate::gate::AcceptGate;
use crate::lifeline::Life;
use crate::worker::Inner;
use crate::{Error, Gate};

/// Pause after an accept that failed for want of a resource, such as open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Most connections taken from the backlog by a worker that leaves with all others.
const MAX_LAST_CONNECTIONS: usize = 4096;

/// When the listener was shut by a sibling, the word that the cluster ends reaches us within this time.
const NEWS_DEADLINE: Duration = Duration::from_secs(1);

fn gate(worker: &Inner) -> std::io::Result<Option<AcceptGate>> {
    match worker.gate {
        Gate::On => AcceptGate::new(Arc::clone(&worker.slot), Arc::clone(&worker.siblings)).map(Some),
        Gate::Off => Ok(None),
    }
}

/// The loop in front of one listener.
pub(super) struct Acceptor<S> {
    /// Which of the worker's listeners it is.
    index: usize,
    listener: Watched,
    gate: Option<AcceptGate>,
    door: Door<S>,
}

impl<S: WebService> Acceptor<S> {
    /// The loop in front of the listener with this index.
    pub(super) fn new(index: usize, door: Door<S>) -> Result<Acceptor<S>, Error> {
        let worker = door.worker();
        let socket = worker.listeners[index].as_fd().try_clone_to_owned().map_err(Error::system("copy a listener"))?;
        let listener = Watched::for_reading(socket).map_err(Error::system("watch a listener"))?;
        let gate = gate(worker).map_err(Error::system("set up the accept gate"))?;
        Ok(Acceptor { index, listener, gate, door })
    }

    /// Accepts until the worker has to leave.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut life = self.door.worker().life.clone();
        tokio::select! {
            biased;
            _ = life.wait_for(|life| *life != Life::Serving) => {}
            Err(error) = self.accept_for_ever() => return Err(error),
        }
        self.leave();
        Ok(())
    }

    async fn accept_for_ever(&mut self) -> Result<std::convert::Infallible, Error> {
        self.door.admitted().await;
        loop {
            self.door.wait_for_room().await;
            let (socket, client) = self.next().await?;
            self.door.begin_accepted(socket, client);
            // One connection a turn: the new one is read before the next is taken.
            tokio::task::yield_now().await;
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
                // A Unix socket that was shut says this for ever, and is readable for ever.
                Err(error) => match fate(error) {
                    Fate::NothingWaits if !ready.ready().is_read_closed() => ready.clear_ready(),
                    Fate::ClientGone => {}
                    Fate::Exhausted => pause(&self.door.worker().slot, error).await,
                    Fate::NothingWaits | Fate::ListenerBroken => {
                        // A sibling that learned before us that the primary is gone has shut the port: we are about
                        // to hear the same, which ends this wait.
                        tokio::time::sleep(NEWS_DEADLINE).await;
                        return Err(Error::System { attempt: "accept connections", source: error.into() });
                    }
                },
            }
        }
    }

    /// The last moments: when the whole cluster goes, what already waits in the backlog is served, and then the port
    /// is shut for all holders, so that a stopped one does not keep it.
    fn leave(&mut self) {
        let worker = self.door.worker();
        if !worker.life.borrow().is_end_of_all() || !*worker.admitted.borrow() {
            return;
        }
        for _ in 0..MAX_LAST_CONNECTIONS {
            match accept(&self.listener) {
                Ok((socket, client)) => self.door.begin_accepted(socket, client),
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
    let client = Client::of(&socket, address);
    client.map(|client| (socket, client)).ok_or(Errno::CONNABORTED)
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
