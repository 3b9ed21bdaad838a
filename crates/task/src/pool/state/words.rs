//! The words between the state and those who do what it decides.

use std::time::{Duration, Instant};

use phalanx_process::Sandbox;
use phalanx_thread::line::Terms;

use super::JobKey;
use crate::pool::{Killed, Recycled};
use crate::{Refusal, TaskError};

/// A place for one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pool) struct Seat(pub(in crate::pool) usize);

/// What the state hands around without looking at it.
pub(in crate::pool) trait Work {
    /// A task and its caller.
    type Payload: Clone;
    /// What a process answers.
    type Output;
    /// Where a task stands at a desk.
    type Slot: Copy;
}

/// What was decided once, by the builder.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Rules {
    pub(in crate::pool) least: usize,
    pub(in crate::pool) most: usize,
    pub(in crate::pool) cores: usize,
    pub(in crate::pool) queue_limit: usize,
    pub(in crate::pool) max_wait: Duration,
    pub(in crate::pool) standing_wait: Duration,
    pub(in crate::pool) idle_timeout: Duration,
    pub(in crate::pool) max_jobs: Option<u64>,
    pub(in crate::pool) max_memory: u64,
    pub(in crate::pool) kill_grace: Duration,
    pub(in crate::pool) ahead: usize,
}

/// The desks of the processes, as the state needs them.
pub(in crate::pool) trait Desks<W: Work> {
    /// Puts a task on the desk of a seat.
    fn offer(&mut self, seat: Seat, offer: Offer<'_, W>) -> Offered<W::Slot>;
    /// Takes a task back: false if it was begun before.
    fn retract(&mut self, seat: Seat, slot: W::Slot) -> bool;
    /// Tells a running task to stop.
    fn cancel(&mut self, seat: Seat, slot: W::Slot);
    /// Whether a task was begun and is not over.
    fn has_begun(&self, seat: Seat, slot: W::Slot) -> bool;
}

/// A task on its way to a desk.
pub(in crate::pool) struct Offer<'o, W: Work> {
    pub(in crate::pool) key: JobKey,
    pub(in crate::pool) id: u64,
    pub(in crate::pool) payload: &'o W::Payload,
    pub(in crate::pool) deadline: Option<Instant>,
}

/// What became of an offer.
#[derive(Debug)]
pub(in crate::pool) enum Offered<S> {
    Placed(S),
    /// It is large, and is copied without the lock; [`State::carried`] tells the outcome.
    Underway,
    NoRoom,
    Refused(Refusal),
    /// The desk is broken.
    Malformed(String),
}

/// A task as it comes in.
pub(in crate::pool) struct NewJob<P> {
    pub(in crate::pool) id: u64,
    pub(in crate::pool) payload: P,
    pub(in crate::pool) kind: usize,
    pub(in crate::pool) terms: Terms,
    pub(in crate::pool) from_start: Option<Duration>,
}

/// A task whose caller is to be told.
#[derive(Debug)]
pub(in crate::pool) struct Ended<P, O> {
    pub(in crate::pool) payload: P,
    /// What its caller is told; nothing if that has been done before.
    pub(in crate::pool) result: Option<Result<O, TaskError>>,
    /// Whether its process is free of it.
    pub(in crate::pool) is_over: bool,
}

/// What the keeper has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) enum Order {
    Start { seat: Seat, sandbox: Sandbox },
    Kill { seat: Seat, why: Why },
    Weigh { seat: Seat },
}

/// Why a process is killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pool) enum Why {
    /// Its task did not stop.
    Stop {
        kind: usize,
        id: u64,
        why: Killed,
    },
    Recycle {
        jobs: u64,
        why: Recycled,
    },
    Malformed,
    /// It did not say hello in time.
    Silent,
    Closing,
}
