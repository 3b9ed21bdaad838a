//! [`Gate`]: when clients may ask. It is closed now and then, as a day has its quiet hours: memory is compared at rest.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait at the gate before a client looks whether it shall end.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    /// Clients go home.
    Over,
}

/// Open, closed, or over.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn open() -> Gate {
        Gate { state: Mutex::new(State::Open), changed: Condvar::new() }
    }

    /// Waits while it is closed; whether there is anything more to do.
    pub(crate) fn pass(&self) -> bool {
        let mut state = self.state();
        while *state == State::Closed {
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *state == State::Open
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.state() == State::Open
    }

    pub(crate) fn close(&self) {
        self.set(State::Closed);
    }

    pub(crate) fn reopen(&self) {
        self.set(State::Open);
    }

    pub(crate) fn end(&self) {
        self.set(State::Over);
    }

    fn set(&self, to: State) {
        *self.state() = to;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
