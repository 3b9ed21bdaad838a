//! [`Clock`]: wakes hands at a moment, where they have no thread to sleep on.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::part::locked;
use crate::run::Run;

/// Its thread exists only once it is needed.
#[derive(Default)]
pub(super) struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: Option<Instant>,
    is_stopped: bool,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Wakes hands and the driver then, or before. Without a thread for it, at once.
    pub(super) fn wake(self: &Arc<Clock>, run: &Arc<Run>, moment: Instant) {
        let mut state = locked(&self.state);
        if state.is_stopped {
            return;
        }
        if state.next.is_none_or(|next| moment < next) {
            state.next = Some(moment);
            self.changed.notify_one();
        }
        if state.thread.is_none() {
            let (clock, run_then) = (self.clone(), Arc::downgrade(run));
            let started = thread::Builder::new().name("stream-clock".to_owned()).spawn(move || clock.tick(&run_then));
            match started {
                Ok(thread) => state.thread = Some(thread),
                Err(_) => {
                    drop(state);
                    run.driver.wake();
                }
            }
        }
    }

    fn tick(&self, run: &Weak<Run>) {
        let mut state = locked(&self.state);
        while !state.is_stopped {
            let now = Instant::now();
            match state.next {
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(next) if next > now => {
                    let waited = self.changed.wait_timeout(state, next - now);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) => {
                    state.next = None;
                    drop(state);
                    let Some(run) = run.upgrade() else { return };
                    run.call_hand(0);
                    run.driver.wake();
                    drop(run);
                    state = locked(&self.state);
                }
            }
        }
    }

    /// Ends its thread, if it has one.
    pub(super) fn stop(&self) {
        let mut state = locked(&self.state);
        state.is_stopped = true;
        let thread = state.thread.take();
        drop(state);
        self.changed.notify_one();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            drop(thread.join());
        }
    }
}
