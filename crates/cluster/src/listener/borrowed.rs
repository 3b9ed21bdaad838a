//! Sockets of other places, from which this worker accepts while those have no worker.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use phalanx_channel::Watched;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Listener, Origin};
use crate::Place;
use crate::lifeline::Life;
use crate::passed::{Passed, Sender};

/// Pause after an accept that failed for want of a resource, such as open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Most connections taken from one backlog by a worker that leaves with all others.
const MAX_LAST_CONNECTIONS: usize = 4096;

/// What is borrowed now: the life-line's thread writes it, the event loop follows.
#[derive(Debug, Default)]
pub(crate) struct Borrowed {
    sockets: Mutex<BTreeMap<Place, Vec<Arc<Listener>>>>,
    changed: Notify,
}

impl Borrowed {
    /// The primary lends sockets of a place, from this index on; what was borrowed from there on before is given back.
    pub(crate) fn borrow(&self, place: Place, from: usize, sockets: Vec<OwnedFd>) {
        // Only sockets that we opened ourselves can be one of several.
        let listeners = sockets.into_iter().filter_map(|socket| Listener::new(socket, Origin::Ours).ok()).map(Arc::new);
        let mut all = self.lock();
        let of_place = all.entry(place).or_default();
        of_place.truncate(from);
        of_place.extend(listeners);
        drop(all);
        self.changed.notify_one();
    }

    /// The place has its own worker again.
    pub(crate) fn give_back(&self, place: Place) {
        self.lock().remove(&place);
        self.changed.notify_one();
    }

    /// Accepts from what is borrowed, from when somebody wants connections until this worker leaves.
    pub(crate) async fn run(self: Arc<Self>, passed: Arc<Passed>, mut life: watch::Receiver<Life>) {
        let sender = tokio::select! {
            sender = passed.sender() => sender,
            _ = life.wait_for(|life| *life != Life::Serving) => None,
        };
        let Some(sender) = sender else { return };
        let mut tasks: BTreeMap<Place, Vec<Accepting>> = BTreeMap::new();
        loop {
            self.follow(&mut tasks, &sender);
            tokio::select! {
                () = self.changed.notified() => {}
                _ = life.wait_for(|life| *life != Life::Serving) => break,
            }
        }
        let all = std::mem::take(&mut *self.lock());
        drop(tasks);
        if matches!(*life.borrow(), Life::Leaving { with_all: false, .. }) {
            return;
        }
        // The cluster ends: what waits is served, then the port is shut for all holders.
        for listener in all.into_values().flatten() {
            for _ in 0..MAX_LAST_CONNECTIONS {
                let Some(room) = sender.room().await else { return };
                match accept(&listener) {
                    Ok(socket) => room.fill(socket),
                    Err(Errno::AGAIN | Errno::INVAL) => break,
                    Err(_) => {}
                }
            }
            listener.shut();
        }
    }

    fn follow(&self, tasks: &mut BTreeMap<Place, Vec<Accepting>>, sender: &Sender) {
        let now = self.lock();
        tasks.retain(|place, _| now.contains_key(place));
        for (place, listeners) in now.iter() {
            let current = tasks.get(place).is_some_and(|tasks| {
                tasks.iter().map(|task| Arc::as_ptr(&task.listener)).eq(listeners.iter().map(Arc::as_ptr))
            });
            if !current {
                let accepting = listeners.iter().map(|listener| Accepting::start(Arc::clone(listener), sender.clone()));
                tasks.insert(*place, accepting.collect());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Vec<Arc<Listener>>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that accepts from one borrowed socket until this is dropped.
struct Accepting {
    listener: Arc<Listener>,
    task: JoinHandle<()>,
}

impl Accepting {
    fn start(listener: Arc<Listener>, sender: Sender) -> Accepting {
        let task = tokio::spawn(accept_all(Arc::clone(&listener), sender));
        Accepting { listener, task }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        // It never waits between accepting a connection and passing it on.
        self.task.abort();
    }
}

async fn accept_all(listener: Arc<Listener>, sender: Sender) {
    let Ok(watched) = listener.as_fd().try_clone_to_owned().and_then(Watched::for_reading) else { return };
    loop {
        let Ok(mut ready) = watched.readable().await else { return };
        let Some(room) = sender.room().await else { return };
        match accept(&listener) {
            Ok(socket) => room.fill(socket),
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                drop(room);
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            Err(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => return,
            // About one client (accept(2)).
            Err(_) => {}
        }
        tokio::task::yield_now().await;
    }
}

fn accept(listener: &Listener) -> Result<OwnedFd, Errno> {
    rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
}
