//! [`Drain`]: the end of a pool, awaited.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::pool::inner::Inner;

/// What a drain did not finish in its time.
pub use phalanx_thread::Leftover;

/// As good as never.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A pool that drains; made by [`ProcessPool::drain`](crate::ProcessPool::drain).
#[must_use = "the pool drains anyway, but only the awaited future ends it at its deadline"]
pub struct Drain {
    inner: Arc<Inner>,
    deadline: Instant,
}

impl Drain {
    pub(super) fn begin(inner: Arc<Inner>, within: Duration) -> Drain {
        let mut guard = inner.lock();
        guard.state.drain();
        inner.settle(guard);
        let deadline = Instant::now() + within.min(LONGEST);
        Drain { inner, deadline }
    }
}

impl Future for Drain {
    type Output = Leftover;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Leftover> {
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        if floor.state.is_over() {
            return Poll::Ready(Leftover { queued: 0, running: 0 });
        }
        if Instant::now() >= self.deadline {
            let (queued, running) = floor.state.give_up(&mut floor.table);
            self.inner.settle(guard);
            return Poll::Ready(Leftover { queued, running });
        }
        let is_known = floor.draining.iter().any(|(_, waker)| waker.will_wake(context.waker()));
        if !is_known {
            floor.draining.push((self.deadline, context.waker().clone()));
        }
        floor.state.note(Some(self.deadline));
        self.inner.settle(guard);
        Poll::Pending
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("deadline", &self.deadline).finish()
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the calling thread.
pub(super) fn block_on(drain: Drain) -> Leftover {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut drain = pin!(drain);
    loop {
        if let Poll::Ready(leftover) = drain.as_mut().poll(&mut Context::from_waker(&waker)) {
            return leftover;
        }
        std::thread::park();
    }
}
