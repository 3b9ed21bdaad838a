//! [`Lane`]: the bounded queue under everything that passes values between threads.
//!
//! One lock around a queue and two lines of those who wait; the number of queued values stands beside the lock, so that
//! whoever looks for work takes no lock while there is none. Wakers are called, and values dropped, after unlocking.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use crate::port::PostError;
use crate::port::waiters::{Left, Ticket, Waiters, wake};
use crate::sync::checked::{AtomicUsize, Mutex, MutexGuard, Ordering, lock};

/// In what is seen without the lock: the last value is queued, or was received.
const ENDED: usize = 1 << (usize::BITS - 1);
/// Nothing more is taken, except what is forced in. The bits below are the number of queued values.
const SHUT: usize = 1 << (usize::BITS - 2);

pub(crate) struct Lane<T> {
    /// What `state` says of length and end, for those who look without the lock. A hint: who acts on it looks again.
    seen: AtomicUsize,
    state: Mutex<State<T>>,
    bound: usize,
}

struct State<T> {
    queue: VecDeque<T>,
    door: Door,
    receivers: Waiters,
    senders: Waiters,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Door {
    Open,
    /// Senders are turned away; receivers wait for what is still forced in.
    Shut,
    /// Receivers get what is queued, and then the end.
    Ended,
}

impl<T> Lane<T> {
    /// A lane for at most `bound` values, at least one.
    pub(crate) fn new(bound: usize) -> Lane<T> {
        let state = State {
            queue: VecDeque::new(),
            door: Door::Open,
            receivers: Waiters::default(),
            senders: Waiters::default(),
        };
        Lane { seen: AtomicUsize::new(0), state: Mutex::new(state), bound: bound.max(1) }
    }

    // ---- without the lock ----

    pub(crate) fn len(&self) -> usize {
        self.seen.load(Ordering::Acquire) & !(ENDED | SHUT)
    }

    /// Whether senders are turned away.
    pub(crate) fn is_closed(&self) -> bool {
        self.seen.load(Ordering::Acquire) & (ENDED | SHUT) != 0
    }

    /// A receiver need not wait: something is there, or nothing will come.
    pub(crate) fn is_settled_for_receivers(&self) -> bool {
        self.seen.load(Ordering::Acquire) & !SHUT != 0
    }

    /// A sender need not wait: there is room, or nothing more is taken.
    pub(crate) fn is_settled_for_senders(&self) -> bool {
        let seen = self.seen.load(Ordering::Acquire);
        seen & (ENDED | SHUT) != 0 || seen < self.bound
    }

    // ---- putting in ----

    pub(crate) fn try_push(&self, value: T) -> Result<(), PostError<T>> {
        let mut state = lock(&self.state);
        if state.door > Door::Open {
            return Err(PostError::Closed(value));
        }
        if state.queue.len() >= self.bound {
            return Err(PostError::Full(value));
        }
        state.queue.push_back(value);
        self.call_receiver(state);
        Ok(())
    }

    /// Puts the value in `slot` in as soon as there is room; takes it out of `slot` only then.
    pub(crate) fn poll_push(
        &self,
        context: &mut Context<'_>,
        ticket: &mut Ticket,
        slot: &mut Option<T>,
    ) -> Poll<Result<(), PostError<T>>> {
        let mut state = lock(&self.state);
        if state.door == Door::Open && state.queue.len() >= self.bound {
            state.senders.enroll(ticket, context.waker());
            return Poll::Pending;
        }
        state.senders.leave(ticket);
        match slot.take() {
            Some(value) if state.door > Door::Open => return Poll::Ready(Err(PostError::Closed(value))),
            Some(value) => state.queue.push_back(value),
            None => return Poll::Ready(Ok(())),
        }
        self.call_receiver(state);
        Poll::Ready(Ok(()))
    }

    /// Puts a value in whatever the bound says and also after the end: for the few that must always fit.
    pub(crate) fn force(&self, value: T) {
        let mut state = lock(&self.state);
        state.queue.push_back(value);
        self.call_receiver(state);
    }

    /// Puts a value in. If that is one too many, the oldest goes, and is given back to be dropped; `merge` is shown it
    /// and the one that is first now.
    pub(crate) fn push_over(&self, value: T, merge: impl FnOnce(&T, &mut T)) -> Result<Option<T>, PostError<T>> {
        let mut state = lock(&self.state);
        if state.door > Door::Open {
            return Err(PostError::Closed(value));
        }
        state.queue.push_back(value);
        let mut oldest = None;
        if state.queue.len() > self.bound {
            oldest = state.queue.pop_front();
            if let (Some(oldest), Some(following)) = (&oldest, state.queue.front_mut()) {
                merge(oldest, following);
            }
        }
        self.call_receiver(state);
        Ok(oldest)
    }

    // ---- taking out ----

    /// Takes with `take`; `None` is the end, pending means nothing is there yet.
    pub(crate) fn poll_take<R>(
        &self,
        context: &mut Context<'_>,
        ticket: &mut Ticket,
        take: impl FnOnce(&mut VecDeque<T>) -> Option<R>,
    ) -> Poll<Option<R>> {
        let mut state = lock(&self.state);
        if let Some(taken) = take(&mut state.queue) {
            state.receivers.leave(ticket);
            self.call_sender(state);
            return Poll::Ready(Some(taken));
        }
        if state.door == Door::Ended {
            state.receivers.leave(ticket);
            return Poll::Ready(None);
        }
        state.receivers.enroll(ticket, context.waker());
        Poll::Pending
    }

    /// As [`poll_take`](Lane::poll_take) for those who do not wait.
    pub(crate) fn try_take<R>(&self, take: impl FnOnce(&mut VecDeque<T>) -> Option<R>) -> Poll<Option<R>> {
        if !self.is_settled_for_receivers() {
            return Poll::Pending;
        }
        let mut state = lock(&self.state);
        match take(&mut state.queue) {
            Some(taken) => {
                self.call_sender(state);
                Poll::Ready(Some(taken))
            }
            None if state.door == Door::Ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    // ---- the end ----

    /// Senders are turned away. What is queued or forced in can be received; the end is yet to come.
    pub(crate) fn shut(&self) {
        self.turn(Door::Shut);
    }

    /// Nothing more is taken; what is queued can still be received.
    pub(crate) fn close(&self) {
        self.turn(Door::Ended);
    }

    fn turn(&self, door: Door) {
        let mut state = lock(&self.state);
        state.door = state.door.max(door);
        self.note(&state);
        let (receivers, senders) = (state.receivers.call_all(), state.senders.call_all());
        drop(state);
        wake(receivers);
        wake(senders);
    }

    /// Nobody will receive any more: what is queued is given to the caller to drop.
    pub(crate) fn close_and_take(&self) -> VecDeque<T> {
        self.close();
        let mut state = lock(&self.state);
        let unread = std::mem::take(&mut state.queue);
        self.note(&state);
        unread
    }

    // ---- giving up ----

    /// A receiver goes away. If he was called, the call goes to the next.
    pub(crate) fn receiver_left(&self, ticket: &mut Ticket) {
        if !ticket.is_used() {
            return;
        }
        let mut state = lock(&self.state);
        let called = state.receivers.leave(ticket) == Left::Called && !state.queue.is_empty();
        let next = called.then(|| state.receivers.call_one()).flatten();
        drop(state);
        wake(next);
    }

    /// A sender goes away. If he was called, the call goes to the next.
    pub(crate) fn sender_left(&self, ticket: &mut Ticket) {
        if !ticket.is_used() {
            return;
        }
        let mut state = lock(&self.state);
        let called = state.senders.leave(ticket) == Left::Called && state.queue.len() < self.bound;
        let next = called.then(|| state.senders.call_one()).flatten();
        drop(state);
        wake(next);
    }

    // ---- inside ----

    fn note(&self, state: &State<T>) {
        let door = match state.door {
            Door::Open => 0,
            Door::Shut => SHUT,
            Door::Ended => ENDED,
        };
        self.seen.store(state.queue.len() | door, Ordering::Release);
    }

    fn call_receiver(&self, mut state: MutexGuard<'_, State<T>>) {
        self.note(&state);
        let next = state.receivers.call_one();
        drop(state);
        wake(next);
    }

    fn call_sender(&self, mut state: MutexGuard<'_, State<T>>) {
        self.note(&state);
        let next = if state.queue.len() < self.bound { state.senders.call_one() } else { None };
        drop(state);
        wake(next);
    }
}
