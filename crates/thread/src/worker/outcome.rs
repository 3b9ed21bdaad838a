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
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The parent has got everything that comes before.
    announced: bool,
    waiters: Waiters,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) error: Option<WorkerError>,
}

impl Outcome {
    /// Writes down how it ended, before anybody is told.
    pub(crate) fn note(&self, ended: Ended) {
        // There is one end.
        let _ = self.ended.set(ended);
    }

    /// Tells those who wait for it, after the last event.
    pub(crate) fn announce(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.announced = true;
        let called = waiting.waiters.call_all();
        drop(waiting);
        wake(called);
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
        let mut waiting = lock(&this.outcome.waiting);
        match this.outcome.ended.get() {
            Some(ended) if waiting.announced => {
                waiting.waiters.leave(&mut this.ticket);
                Poll::Ready(ended.clone())
            }
            _ => {
                waiting.waiters.enroll(&mut this.ticket, context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.ticket.is_used() {
            lock(&self.outcome.waiting).waiters.leave(&mut self.ticket);
        }
    }
}
