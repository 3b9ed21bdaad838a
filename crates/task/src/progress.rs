//! [`Progress`]: how far a task has come. Only the latest word is kept, so a slow listener costs nothing.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use serde::{Deserialize, Serialize};

/// How far a task has come, in units of its own (bytes, rows, pages).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units that are done.
    pub done: u64,
    /// Units in all; 0 if it does not know.
    pub total: u64,
}

/// Where a task leaves its progress, and a [`ProgressStream`] finds it. For executors.
#[derive(Default)]
pub struct ProgressCell {
    state: Mutex<State>,
    /// Called when somebody listens for the first time.
    on_listener: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Progress>,
    /// Counts the words.
    version: u64,
    ended: bool,
    wakers: Vec<Waker>,
}

impl ProgressCell {
    /// One of a task that has not said anything.
    pub fn new() -> Arc<ProgressCell> {
        Arc::default()
    }

    /// One whose words are fetched from elsewhere, once somebody wants to hear them: then this is called.
    pub fn on_listener(fetch: impl FnOnce() + Send + 'static) -> Arc<ProgressCell> {
        Arc::new(ProgressCell { state: Mutex::default(), on_listener: Mutex::new(Some(Box::new(fetch))) })
    }

    /// One of a task that is over.
    pub fn ended() -> Arc<ProgressCell> {
        let cell = ProgressCell::new();
        cell.lock().ended = true;
        cell
    }

    /// The task says how far it has come.
    pub fn set(&self, progress: Progress) {
        let mut state = self.lock();
        if state.ended || state.latest == Some(progress) {
            return;
        }
        state.latest = Some(progress);
        state.version += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The task is over.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn listened_to(&self) {
        let fetch = self.on_listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(fetch) = fetch {
            fetch();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ProgressCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressCell").field("latest", &self.lock().latest).finish_non_exhaustive()
    }
}

/// The progress of a task, as it changes: a stream that skips what it was too slow for, and ends with the task.
#[derive(Debug)]
pub struct ProgressStream {
    cell: Arc<ProgressCell>,
    seen: u64,
}

impl ProgressStream {
    /// For executors and queues: the words of this cell.
    pub fn new(cell: Arc<ProgressCell>) -> ProgressStream {
        cell.listened_to();
        ProgressStream { cell, seen: 0 }
    }

    /// The latest word, whether it was read here or not.
    pub fn latest(&self) -> Option<Progress> {
        self.cell.lock().latest
    }

    /// The next word; `None` when the task is over.
    pub async fn next(&mut self) -> Option<Progress> {
        std::future::poll_fn(|context| self.poll_word(context)).await
    }

    fn poll_word(&mut self, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        let mut state = self.cell.lock();
        if state.version > self.seen {
            self.seen = state.version;
            return Poll::Ready(state.latest);
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.poll_word(context)
    }
}
