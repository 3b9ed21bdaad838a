//! [`Drain`]: the end of a pool, awaited.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::pool::core::Core;
use crate::sync::lock;

/// A pool that drains; made by [`ThreadPool::drain`](crate::ThreadPool::drain).
#[must_use = "the pool drains anyway, but only the awaited future ends it at its deadline"]
pub struct Drain {
    core: Arc<Core>,
    deadline: Instant,
}

/// What a drain did not finish in its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover {
    /// Jobs that never ran; their submissions are refused.
    pub queued: usize,
    /// Jobs that still ran; they were told to stop.
    pub running: usize,
}

impl Leftover {
    /// Nothing if all threads have ended; else gives up on the rest.
    pub(crate) fn of(core: &Core) -> Leftover {
        let (queued, running) = if core.dispatcher.alive() == 0 { (0, 0) } else { core.give_up() };
        Leftover { queued, running }
    }
}

impl Drain {
    pub(crate) fn new(core: Arc<Core>, deadline: Instant) -> Drain {
        Drain { core, deadline }
    }
}

impl Future for Drain {
    type Output = Leftover;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Leftover> {
        let due = self.core.at(self.deadline);
        let mut draining = lock(&self.core.draining);
        if !draining.iter().any(|(known, waker)| *known == due && waker.will_wake(context.waker())) {
            draining.push((due, context.waker().clone()));
        }
        drop(draining);
        // After the waker is in place: a thread that ends now wakes us.
        if self.core.dispatcher.alive() == 0 || Instant::now() >= self.deadline {
            return Poll::Ready(Leftover::of(&self.core));
        }
        self.core.keeper.note(due, &self.core);
        Poll::Pending
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("deadline", &self.deadline).finish()
    }
}
