//! [`wait`]: awaits something without any runtime, which is itself one of the promises.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::GIVE_UP;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for this on the calling thread.
///
/// # Panics
///
/// After [`GIVE_UP`].
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    within(GIVE_UP, future).expect("nothing came of it: something hangs")
}

/// Waits for this on the calling thread, so long.
pub(crate) fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let end = Instant::now() + time;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        let left = end.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}
