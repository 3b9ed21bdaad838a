//! [`Ticket`]: one submission, as its caller and the pump share it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use phalanx_task::{Packed, Pending, ProgressCell, TaskError};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::pump::Word;
use crate::{JobId, Queue};

pub(super) struct Ticket {
    id: JobId,
    words: mpsc::UnboundedSender<Word>,
    /// Of the executor; this one counts until it is confirmed.
    in_flight: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    /// It was given to the caller, or the caller was told that it is cancelled.
    is_over: bool,
    is_confirmed: bool,
    is_cancelled: bool,
    is_detached: bool,
    /// It has ended, and no word will come.
    has_ended: bool,
    /// Who waits for its end.
    following: Option<AbortHandle>,
    waker: Option<Waker>,
    progress: Weak<ProgressCell>,
    /// Held as long as somebody listens to what is fetched.
    listened_to: Option<Arc<ProgressCell>>,
}

/// How a job ended.
pub(super) enum Outcome {
    Done(Packed),
    Failed(TaskError),
}

/// The caller's end.
pub(super) struct Taken {
    pub(super) ticket: Arc<Ticket>,
    /// Open as long as somebody waits.
    pub(super) _queue: Queue,
}

impl Ticket {
    pub(super) fn new(id: JobId, words: mpsc::UnboundedSender<Word>, in_flight: Arc<AtomicUsize>) -> Arc<Ticket> {
        Arc::new(Ticket { id, words, in_flight, state: Mutex::default() })
    }

    pub(super) fn id(&self) -> JobId {
        self.id
    }

    /// The store has it, or will never have it.
    pub(super) fn is_confirmed(&self) {
        if !std::mem::replace(&mut self.lock().is_confirmed, true) {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// Where words of progress go: known only once the submission is made.
    pub(super) fn fetches_progress_into(&self, cell: &Arc<ProgressCell>) {
        self.lock().progress = Arc::downgrade(cell);
    }

    /// Somebody listens: from now on progress is fetched.
    pub(super) fn is_listened_to(self: &Arc<Self>) {
        let mut state = self.lock();
        let Some(cell) = state.progress.upgrade() else { return };
        let is_late = state.has_ended || state.is_over;
        if !is_late {
            state.listened_to = Some(cell.clone());
        }
        drop(state);
        if is_late {
            cell.end();
        } else {
            // Without the pump there will be no word.
            let _ = self.words.send(Word::Listen(self.clone()));
        }
    }

    /// Whether anybody wants to hear of its end.
    pub(super) fn is_wanted(&self) -> bool {
        self.lock().is_wanted()
    }

    pub(super) fn is_followed_by(&self, following: AbortHandle) {
        let mut state = self.lock();
        state.following = Some(following);
        state.give_up_if_unwanted();
    }

    /// The cell of somebody who listens.
    pub(super) fn listener(&self) -> Option<Arc<ProgressCell>> {
        self.lock().listened_to.clone()
    }

    /// Leaves the outcome and wakes the caller. Only the first one counts.
    pub(super) fn complete(&self, outcome: Outcome) {
        self.is_confirmed();
        let mut state = self.lock();
        state.has_ended = true;
        if state.outcome.is_none() && !state.is_over {
            state.outcome = Some(outcome);
        }
        let (waker, cell) = (state.waker.take(), state.listened_to.take());
        drop(state);
        if let Some(cell) = cell {
            cell.end();
        }
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        !self.is_cancelled && (!self.is_detached || self.listened_to.is_some())
    }

    fn give_up_if_unwanted(&mut self) {
        if !self.is_wanted()
            && let Some(following) = self.following.take()
        {
            following.abort();
        }
    }
}

impl<T: DeserializeOwned> Pending<T> for Taken {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let mut state = self.ticket.lock();
        let Some(outcome) = state.outcome.take() else {
            if state.is_over {
                return Poll::Ready(Err(TaskError::Cancelled));
            }
            if !state.waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                state.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        };
        state.is_over = true;
        drop(state);
        Poll::Ready(match outcome {
            Outcome::Failed(error) => Err(error),
            Outcome::Done(packed) => packed.unpack().map_err(TaskError::failed),
        })
    }

    fn cancel(&self) {
        let mut state = self.ticket.lock();
        if state.outcome.is_some() || std::mem::replace(&mut state.is_cancelled, true) {
            return;
        }
        state.is_over = true;
        state.give_up_if_unwanted();
        let (waker, cell) = (state.waker.take(), state.listened_to.take());
        drop(state);
        if let Some(cell) = cell {
            cell.end();
        }
        // Without the pump the job goes on, as without this program.
        let _ = self.ticket.words.send(Word::Cancel(self.ticket.clone()));
        waker.into_iter().for_each(Waker::wake);
    }

    fn detach(self: Box<Self>) {
        let mut state = self.ticket.lock();
        state.is_detached = true;
        state.give_up_if_unwanted();
    }
}
