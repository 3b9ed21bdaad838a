//! [`Stop`]: the word to a worker that it shall end, and those who wait for it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::port::waiters::{Ticket, Waiters, wake};
use crate::sync::lock;

/// Why a worker shall end. The first word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// The parent wants it.
    Terminate,
    /// It wants it itself.
    Exit(i32),
}

#[derive(Default)]
pub(crate) struct Stop {
    requested: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    request: Option<Request>,
    waiters: Waiters,
}

impl Stop {
    pub(crate) fn request(&self, request: Request) {
        let mut state = lock(&self.state);
        state.request.get_or_insert(request);
        self.requested.store(true, Ordering::Release);
        let waiting = state.waiters.call_all();
        drop(state);
        wake(waiting);
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    pub(crate) fn requested(&self) -> Option<Request> {
        lock(&self.state).request
    }

    /// Whether it was requested; if not, the waker is called when it is.
    pub(crate) fn poll(&self, context: &mut Context<'_>, ticket: &mut Ticket) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.request.is_some() {
            state.waiters.leave(ticket);
            return Poll::Ready(());
        }
        state.waiters.enroll(ticket, context.waker());
        Poll::Pending
    }
}

/// Ready when the worker shall end; see [`WorkerScope::cancelled`](crate::WorkerScope::cancelled).
pub struct Cancelled {
    stop: Arc<Stop>,
    ticket: Ticket,
}

impl Cancelled {
    pub(crate) fn new(stop: &Arc<Stop>) -> Cancelled {
        Cancelled { stop: Arc::clone(stop), ticket: Ticket::default() }
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.stop.poll(context, &mut this.ticket)
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if self.ticket.is_used() {
            lock(&self.stop.state).waiters.leave(&mut self.ticket);
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("requested", &self.stop.is_requested()).finish_non_exhaustive()
    }
}

/// The worker was told to end: by `terminate`, by the drop of its [`Worker`](crate::Worker), or by `exit`.
///
/// A body may return it as its error: a worker that was terminated ends with exit code 1 and without an error event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminated;

impl fmt::Display for Terminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker was told to end")
    }
}

impl std::error::Error for Terminated {}
