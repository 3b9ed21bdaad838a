//! [`Attempt`]: what a runner of a queue and the place where a task runs share while it runs.
//!
//! ```text
//!   runner: Attempt::new(3, details of attempt 2) ──► place ──► cx.attempt(), cx.resume()
//!           take_details() ◄─────────────────────────────────── cx.checkpoint(&state)
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::executor::FIRST_ATTEMPT;
use crate::{Packed, TaskId};

/// One attempt at a task.
pub struct Attempt {
    number: u32,
    earlier: Option<Vec<u8>>,
    /// What the task said last, and nobody has taken.
    details: Mutex<Option<Vec<u8>>>,
    has_answered: AtomicBool,
}

/// A packed task, as a runner of a queue has it in its hands.
#[derive(Debug)]
pub struct PackedTask<'n> {
    /// Name of the task.
    pub name: &'n str,
    /// What its context says for its number.
    pub id: TaskId,
    /// Its input.
    pub input: Packed,
    /// Which attempt this is.
    pub attempt: Arc<Attempt>,
}

impl Attempt {
    /// Most bytes that a task may [keep](crate::TaskContext::checkpoint) for its next attempt: 64 KiB.
    pub const LONGEST_DETAILS: usize = 64 * 1024;

    /// The attempt of this number (1 is the first), with what an earlier one has kept.
    pub fn new(number: u32, earlier: Option<Vec<u8>>) -> Arc<Attempt> {
        Arc::new(Attempt { number, earlier, details: Mutex::default(), has_answered: AtomicBool::new(false) })
    }

    /// Of a pool without a queue.
    pub(crate) fn first() -> Arc<Attempt> {
        Attempt::new(FIRST_ATTEMPT, None)
    }

    /// 1 is the first.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What an earlier attempt has kept.
    pub fn earlier(&self) -> Option<&[u8]> {
        self.earlier.as_deref()
    }

    /// What the task has kept last, if that was not taken yet.
    pub fn take_details(&self) -> Option<Vec<u8>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// For places: the task keeps this.
    pub(crate) fn keep(&self, details: Vec<u8>) {
        *self.details.lock().unwrap_or_else(PoisonError::into_inner) = Some(details);
    }

    /// Whether an error is the task's own word (or its job process's), and not the executor's: a task may say of itself that it was
    /// cancelled, or refused.
    pub fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Acquire)
    }

    /// For places: what comes now is the task's own word.
    pub(crate) fn answers(&self) {
        self.has_answered.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("number", &self.number).finish_non_exhaustive()
    }
}
