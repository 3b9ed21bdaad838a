//! Waiting for a future on a plain thread, with a deadline.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::task::coop::unconstrained;

/// Polls `future` until it is ready or the time is over; then it is dropped. Blocks this thread.
pub(crate) fn wait_for<F: Future>(future: F, deadline: Duration) -> Option<F::Output> {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Sleeper(thread::current())));
    }
    let waker = WAKER.try_with(Waker::clone).unwrap_or_else(|_| Waker::from(Arc::new(Sleeper(thread::current()))));
    // A deadline beyond what the clock can say is none.
    let until = Instant::now().checked_add(deadline);
    let mut context = Context::from_waker(&waker);
    // Inside a task, its budget would run out here and never come back: this thread gives nobody a turn.
    let mut future = pin!(unconstrained(future));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

/// Wakes a parked thread. A wake-up too many is harmless: whoever parks looks again.
struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
