//! [`Driver`]: the running pipeline behind a stream, polled by whichever end is polled.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use crate::{Error, Pipeline};

/// Whose waker is whose: one task may hold several ends, several tasks one stream.
pub(crate) fn new_slot() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakers, at most one for each slot.
#[derive(Default)]
pub(crate) struct Slots(Vec<(u64, Waker)>);

impl Slots {
    pub(crate) fn set(&mut self, slot: u64, waker: &Waker) {
        match self.0.iter_mut().find(|(of, _)| *of == slot) {
            Some((_, old)) => old.clone_from(waker),
            None => self.0.push((slot, waker.clone())),
        }
    }

    pub(crate) fn remove(&mut self, slot: u64) {
        self.0.retain(|(of, _)| *of != slot);
    }

    /// All, to be woken outside of the lock.
    pub(crate) fn take(&mut self) -> Vec<(u64, Waker)> {
        std::mem::take(&mut self.0)
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A future that several ends poll: it goes on while any of them is polled, and wakes all of them. It is dropped with
/// the last end that holds it.
pub(crate) struct Driver {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

enum State {
    Running(Running),
    Over(Result<(), Error>),
}

#[derive(Default)]
struct Bell(Mutex<Slots>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = locked(&self.0).take();
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Driver {
    pub(crate) fn new(running: impl Future<Output = Result<(), Error>> + Send + 'static) -> Arc<Driver> {
        let state = Mutex::new(State::Running(Box::pin(running)));
        Arc::new(Driver { state, bell: Arc::default() })
    }

    /// Runs a pipeline.
    pub(crate) fn running(pipeline: Pipeline) -> Arc<Driver> {
        let running = pipeline.run();
        Driver::new(async move { running.await.map(drop) })
    }

    /// Drives it on as far as it goes now, for nobody in particular.
    pub(crate) fn nudge(&self) {
        let slot = new_slot();
        let _ = self.poll(slot, &mut Context::from_waker(Waker::noop()));
        self.forget(slot);
    }

    /// Drives it on, and says how it ended.
    pub(crate) fn poll(&self, slot: u64, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // First, so that a wake-up while another thread polls reaches this task too.
        locked(&self.bell.0).set(slot, context.waker());
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Who polls it now wakes this slot when it is over, or is woken with it.
            Err(TryLockError::WouldBlock) => return Poll::Pending,
        };
        let polled = match &mut *state {
            State::Over(outcome) => return Poll::Ready(outcome.clone()),
            State::Running(running) => running.as_mut().poll(&mut Context::from_waker(&Waker::from(self.bell.clone()))),
        };
        let over = match polled {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => return Poll::Pending,
        };
        let ended = std::mem::replace(&mut *state, State::Over(over.clone()));
        drop(state);
        drop(ended);
        self.bell.wake_by_ref();
        Poll::Ready(over)
    }

    pub(crate) fn forget(&self, slot: u64) {
        locked(&self.bell.0).remove(slot);
    }
}
