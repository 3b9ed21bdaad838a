//! What the primary does about connections, beyond keeping the sockets: it lends those of a place without a worker, and
//! keeps a dispatcher.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll;

use super::source::Source;
use super::upgrade::Inheritance;
use super::{Primary, system};
use crate::control::ToWorker;
use crate::dispatcher::Started;
use crate::listener::LoanWord;
use crate::{Error, Place, WorkerId};

impl Primary {
    /// Sees to it that all sockets are open which a worker of this place needs.
    pub(super) fn open_listeners(&mut self, place: Place) -> Result<(), Error> {
        let closed = !self.listeners.are_open();
        self.listeners.reopen()?;
        self.listeners.open_for(place)?;
        if closed && let Some(dispatch) = &mut self.dispatch {
            dispatch.open_doors(&self.listeners)?;
        }
        Ok(())
    }

    /// Nobody lives, or the cluster stops.
    pub(super) fn close_listeners(&mut self) {
        self.listeners.close();
        if let Some(dispatch) = &mut self.dispatch {
            dispatch.close_doors();
        }
    }

    /// The cluster stops: what waits is still served, then the ports are shut.
    pub(super) fn finish_listeners(&mut self) {
        self.listeners.close();
        if let Some(dispatch) = &mut self.dispatch {
            dispatch.finish();
        }
    }

    /// A worker accepts connections from now on.
    pub(super) fn worker_accepts(&mut self, worker: WorkerId) {
        let Some(place) = self.workers.get(&worker).map(|running| running.birth.place) else { return };
        let words = self.loans.serves(worker, place, self.listeners.places());
        self.settle(words);
    }

    /// A worker accepts none any more, or is gone.
    pub(super) fn worker_left(&mut self, worker: WorkerId) {
        let words = self.loans.left(worker, self.listeners.places());
        self.settle(words);
    }

    fn settle(&mut self, mut words: Vec<LoanWord>) {
        while let Some(word) = words.pop() {
            match word {
                LoanWord::Borrow(worker, place) if !self.lend(worker, place) => {
                    // It does not hear what it is told: somebody else then, if there is anybody.
                    words.extend(self.loans.left(worker, self.listeners.places()));
                }
                LoanWord::Borrow(..) => {}
                LoanWord::Return(worker, place) => drop(self.tell(worker, &ToWorker::GiveBack { place })),
            }
        }
    }

    fn lend(&self, worker: WorkerId, place: Place) -> bool {
        let Some(running) = self.workers.get(&worker) else { return false };
        let sockets: Vec<BorrowedFd<'_>> = self.listeners.own_of_place(place).collect();
        let mut from = 0;
        for some in sockets.chunks(phalanx_channel::MAX_DESCRIPTORS) {
            if running.control.send(&ToWorker::Borrow { place, from }, some).is_err() {
                return false;
            }
            from += some.len();
        }
        true
    }

    /// Does what is due for the dispatcher.
    pub(super) fn tend_dispatcher(&mut self) {
        let Some(dispatch) = &mut self.dispatch else { return };
        match dispatch.turn(&self.listeners) {
            Ok(Started::Now) => {
                if let Err(error) = self.watch_dispatcher() {
                    tracing::error!("the dispatcher is not watched: {error}");
                }
            }
            Ok(Started::No) => {}
            // It is tried again, after longer and longer waits.
            Err(error) => tracing::error!("no dispatcher could be started: {error}"),
        }
    }

    fn watch_dispatcher(&self) -> Result<(), Error> {
        let watched = self.dispatch.as_ref().and_then(|dispatch| dispatch.watched());
        let [link, child] = watched.into_iter().flatten().collect::<Vec<_>>()[..] else { return Ok(()) };
        for (source, descriptor) in [(Source::Dispatcher, link), (Source::DispatcherProcess, child)] {
            epoll::add(&self.epoll, descriptor.as_fd(), source.data(), epoll::EventFlags::IN)
                .map_err(system("watch the dispatcher"))?;
        }
        Ok(())
    }

    /// The dispatcher's process has ended; its descriptors leave the epoll with it.
    pub(super) fn dispatcher_ended(&mut self) {
        if let Some(dispatch) = &mut self.dispatch {
            dispatch.reap();
        }
    }

    /// Another image takes over, with a dispatcher of its own.
    pub(super) fn stand_dispatcher_down(&self) {
        if let Some(dispatch) = &self.dispatch {
            dispatch.stand_down();
        }
    }

    /// The desks of workers that live, from the image before this one. A worker without one gets no connections from a
    /// dispatcher; it is about to be replaced.
    pub(super) fn take_up_desks(&mut self, inheritance: &Inheritance) -> Result<(), Error> {
        let Some(dispatch) = &mut self.dispatch else { return Ok(()) };
        for (birth, link, claims) in inheritance.desks()? {
            if let Some(page) = self.slots.get(usize::from(birth.page.0)) {
                dispatch.adopt(birth.worker, birth.place, (link, claims), page)?;
            }
        }
        Ok(())
    }
}
