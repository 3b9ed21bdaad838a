//! Asynchronous waits: one thread sleeps for all that are pending in this process.
//!
//! ```text
//!   wait_async ──► Pending ──► inbox of a sleeper ──► futex_waitv( control word, waits…, notify counters… )
//!        ▲                      (kick: control word)             │ returns: one wait that was woken
//!        │                                                       ▼
//!      waker ◄────────────────────── settle: which waits have ended ───► the others are armed again
//! ```
//!
//! `futex_waitv` names one woken wait and takes all of them out of the kernel's lists; until they are armed again a notify
//! finds nobody. What was not named is therefore decided by the buffer's notify counters (`buffer/notified.rs`), and
//! the counters are armed *behind* the waits: a notify that begins before the kernel has looked at its counter makes
//! the arming fail, one that begins later finds the waits in the list. So none is lost. `settle.rs` has the rules.
//!
//! Errors: [`Error::Unsupported`], [`Error::TooManyWaits`], [`Error::System`] if no thread could be started.

mod pending;
mod room;
mod settle;
mod sleeper;
#[cfg(not(loom))]
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::futex::{ClockId, WaitvFlags, waitv};

use crate::buffer::WaitPlace;
use crate::futex::Deadline;
use crate::{Error, Waited};
use pending::Pending;

/// What `wait_async` returns.
#[must_use = "a wait that is dropped is given up"]
pub(crate) struct WaitAsync {
    state: State,
}

enum State {
    /// Ended before it began.
    Ready(Result<Waited, Error>),
    Pending(Arc<Pending>),
    /// The result was handed out.
    Over,
}

/// Begins a wait.
pub(crate) fn begin(place: Result<WaitPlace, Error>, expected: u32, timeout: Option<Duration>) -> WaitAsync {
    let state = place.and_then(|place| {
        // The counters before the value: a notify that comes between the two is one that we must not miss.
        let pending = Pending::new(place, expected, timeout.and_then(Deadline::after));
        if !pending.still_equal() {
            return Ok(State::Ready(Ok(Waited::NotEqual)));
        }
        if timeout == Some(Duration::ZERO) {
            return Ok(State::Ready(Ok(Waited::TimedOut)));
        }
        check_supported()?;
        let pending = Arc::new(pending);
        sleeper::take_in(&pending)?;
        Ok(State::Pending(pending))
    });
    WaitAsync { state: state.unwrap_or_else(|error| State::Ready(Err(error))) }
}

impl Future for WaitAsync {
    type Output = Result<Waited, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Waited, Error>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Ready(result) => Poll::Ready(result),
            State::Over => Poll::Pending,
            State::Pending(pending) => match pending.poll(context.waker()) {
                Some(result) => Poll::Ready(result),
                None => {
                    self.state = State::Pending(pending);
                    Poll::Pending
                }
            },
        }
    }
}

impl Drop for WaitAsync {
    fn drop(&mut self) {
        if let State::Pending(pending) = &self.state {
            pending.give_up();
        }
    }
}

/// Whether the kernel has `futex_waitv` and lets us call it.
fn check_supported() -> Result<(), Error> {
    static SUPPORTED: OnceLock<bool> = OnceLock::new();
    let supported = SUPPORTED.get_or_init(|| {
        // Nothing to wait for is invalid, where the call is known at all.
        waitv(&[], WaitvFlags::empty(), None, ClockId::Monotonic) == Err(Errno::INVAL)
    });
    match supported {
        true => Ok(()),
        false => Err(Error::Unsupported { what: "futex_waitv (Linux 5.16; some seccomp filters forbid it)" }),
    }
}
