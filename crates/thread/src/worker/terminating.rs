//! [`Terminating`]: waiting for a worker that was told to end.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::port::blocking::wait_for;
use crate::worker::clock;
use crate::worker::outcome::Ending;

/// Ready with the exit code when the worker has ended; from [`Worker::terminate`](crate::Worker::terminate). To drop it
/// is fine: the worker ends all the same.
#[must_use = "the worker was told to end; await this to know when it has"]
pub struct Terminating {
    ending: Ending,
}

impl Terminating {
    pub(crate) fn new(ending: Ending) -> Terminating {
        Terminating { ending }
    }

    /// Waits for at most `deadline`, in any runtime.
    ///
    /// Errors: [`StillRunning`] if it has not ended by then.
    pub async fn within(mut self, deadline: Duration) -> Result<i32, StillRunning> {
        let mut alarm = clock::sleep(deadline);
        poll_fn(|context| {
            if let Poll::Ready(ended) = Pin::new(&mut self.ending).poll(context) {
                return Poll::Ready(Ok(ended.code));
            }
            match &mut alarm {
                Some(alarm) => alarm.as_mut().poll(context).map(|()| Err(StillRunning)),
                None => Poll::Ready(Err(StillRunning)),
            }
        })
        .await
    }

    /// Blocks this thread for at most `deadline`. Not for async code.
    ///
    /// Errors: [`StillRunning`] if it has not ended by then.
    pub fn within_blocking(self, deadline: Duration) -> Result<i32, StillRunning> {
        wait_for(self, deadline).ok_or(StillRunning)
    }
}

impl Future for Terminating {
    type Output = i32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<i32> {
        Pin::new(&mut self.ending).poll(context).map(|ended| ended.code)
    }
}

impl fmt::Debug for Terminating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminating").finish_non_exhaustive()
    }
}

/// The worker had not ended when the deadline passed: it neither awaits nor asks whether it may go on. Nothing can stop
/// a thread; it will end when it next does one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillRunning;

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the worker was told to end and still runs: it neither awaits nor calls checkpoint; run such code in a \
             process, which can be killed",
        )
    }
}

impl std::error::Error for StillRunning {}
