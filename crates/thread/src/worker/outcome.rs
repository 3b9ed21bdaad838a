//! [`Outcome`]: how a worker ended, for all who wait for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use crate::port::waiters::{Ticket, Waiters, wake};
use crate::sync::lock;
use crate::worker::event::WorkerError;

#[derive(Default)]
pub(crate) struct Outcome {
    ended: OnceLock<Ended>,
    waiters: Mutex<Waiters>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) error: Option<WorkerError>,
}

impl Outcome {
    pub(crate) fn settle(&self, ended: Ended) {
        let _ = self.ended.set(ended);
        let waiting = lock(&self.waiters).call_all();
        wake(waiting);
    }

    pub(crate) fn get(&self) -> Option<&Ended> {
        self.ended.get()
    }
}

/// Ready when the worker has ended.
pub(crate) struct Ending {
    outcome: Arc<Outcome>,
    ticket: Ticket,
}

impl Ending {
    pub(crate) fn of(outcome: &Arc<Outcome>) -> Ending {
        Ending { outcome: Arc::clone(outcome), ticket: Ticket::default() }
    }
}

impl Future for Ending {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        // Whoever settles it does so before he takes this lock: none is missed.
        let mut waiters = lock(&this.outcome.waiters);
        if let Some(ended) = this.outcome.ended.get() {
            waiters.leave(&mut this.ticket);
            return Poll::Ready(ended.clone());
        }
        waiters.enroll(&mut this.ticket, context.waker());
        Poll::Pending
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.ticket.is_used() {
            lock(&self.outcome.waiters).leave(&mut self.ticket);
        }
    }
}
