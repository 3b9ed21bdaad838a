//! [`ProgressStream`]: the events for who must not wait.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_core::Stream;

use super::{Events, Progress, Watch};
use crate::Error;

impl Watch {
    /// The events of [`every`](Watch::every) as a stream, for any runtime: a thread of its own, which ends with the pipeline
    /// or with the stream, gives the rhythm.
    pub fn stream(&self, interval: Duration) -> Result<ProgressStream, Error> {
        let events = self.every(interval);
        let (slot, is_stopped) = (Arc::new(Mutex::new(Slot::default())), events.is_stopped.clone());
        self.run("stream-progress", {
            let slot = slot.clone();
            move || pass_on(events, &slot)
        })?;
        Ok(ProgressStream { slot, is_stopped, watch: self.clone() })
    }

    /// Runs this on a thread that ends when the pipeline has.
    pub(super) fn run(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
        let thread = thread.map_err(|error| Error::NoThread { why: error.to_string() })?;
        self.course.join_at_end(thread);
        Ok(())
    }
}

/// How far a pipeline is, at each interval, and once more at its end: made by [`Watch::stream`]. Who polls late gets the
/// latest; the last is never left out.
pub struct ProgressStream {
    slot: Arc<Mutex<Slot>>,
    is_stopped: Arc<AtomicBool>,
    watch: Watch,
}

#[derive(Default)]
struct Slot {
    latest: Option<Progress>,
    is_over: bool,
    waker: Option<Waker>,
}

fn pass_on(events: Events, slot: &Mutex<Slot>) {
    for progress in events {
        tell(slot, |slot| slot.latest = Some(progress));
    }
    tell(slot, |slot| slot.is_over = true);
}

fn tell(slot: &Mutex<Slot>, change: impl FnOnce(&mut Slot)) {
    let mut slot = locked(slot);
    change(&mut slot);
    let waker = slot.waker.take();
    drop(slot);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn locked(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        let mut slot = locked(&self.slot);
        if let Some(progress) = slot.latest.take() {
            return Poll::Ready(Some(progress));
        }
        if slot.is_over {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for ProgressStream {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.watch.course.look_again();
    }
}

#[cfg(test)]
impl ProgressStream {
    pub(super) fn slot(&self) -> Arc<Mutex<impl Sized + use<>>> {
        self.slot.clone()
    }
}
