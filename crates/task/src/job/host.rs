//! [`JobHost`]: what a task's context finds in a job process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seat::{Job, Seat};
use super::voice::{Hurry, Voice};
use crate::desk::Board;
use crate::desk::protocol::{KEEPS, NO_OUTPUT, PROGRESS, RUNS, WAITS, Which};
use crate::{Blob, Host, Progress};

/// Words of progress are not told more often: nobody reads faster.
const BETWEEN_WORDS: Duration = Duration::from_millis(10);

/// The place where one job runs.
#[derive(Debug)]
pub(super) struct JobHost {
    board: Arc<Board>,
    voice: Arc<Voice>,
    slot: u8,
    number: u64,
    deadline: Option<Instant>,
    /// What an earlier attempt has kept.
    earlier: Option<Blob>,
    words: Mutex<Words>,
    /// Calls of `wait` that are under way: the first and the last tell the owner.
    waits: AtomicU32,
}

#[derive(Debug, Default)]
struct Words {
    told: Option<Instant>,
    /// Came too soon after the last one.
    untold: Option<Progress>,
}

impl JobHost {
    pub(super) fn new(seat: &Seat, job: &Job, earlier: Option<Blob>) -> JobHost {
        JobHost {
            board: seat.board().clone(),
            voice: seat.voice().clone(),
            slot: job.slot,
            number: job.number,
            deadline: job.deadline,
            earlier,
            words: Mutex::default(),
            waits: AtomicU32::new(0),
        }
    }

    /// Tells what was held back.
    pub(super) fn say_the_last_word(&self) {
        let untold = self.words.lock().unwrap_or_else(PoisonError::into_inner).untold.take();
        if let Some(progress) = untold {
            self.tell(progress);
        }
    }

    fn tell(&self, progress: Progress) {
        let mut message = self.message(PROGRESS);
        message.extend_from_slice(&progress.done.to_ne_bytes());
        message.extend_from_slice(&progress.total.to_ne_bytes());
        self.say(&message);
    }

    /// The head of a message about this job.
    fn message(&self, kind: u8) -> Vec<u8> {
        let mut message = Vec::with_capacity(32);
        let which = Which { slot: self.slot, output: NO_OUTPUT, is_returned: false, ran_ns: 0, number: self.number };
        which.write(kind, &mut message);
        message
    }

    fn say(&self, message: &[u8]) {
        // If the owner cannot be told, neither can it be told the result.
        let _ = self.voice.say(message, Hurry::Now);
    }
}

impl Host for Arc<JobHost> {
    fn is_cancelled(&self) -> bool {
        self.board.is_cancelled(self.slot.into(), self.number)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn progress(&self, progress: Progress) {
        let now = Instant::now();
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.told.is_some_and(|told| now.duration_since(told) < BETWEEN_WORDS) {
            words.untold = Some(progress);
            return;
        }
        *words = Words { told: Some(now), untold: None };
        // Under the lock, so that a later word of another thread does not come before this one.
        self.tell(progress);
    }

    fn wait(&self, blocking: &mut dyn FnMut()) {
        // The owner holds the permit for this process, and lets it go meanwhile.
        if self.waits.fetch_add(1, Ordering::AcqRel) == 0 {
            self.say(&self.message(WAITS));
        }
        let _goes_on = GoesOn { host: self };
        blocking();
    }

    fn checkpoint(&self, details: Vec<u8>) {
        // At once: if the task kills this process now, the owner has read it.
        let mut message = self.message(KEEPS);
        message.extend_from_slice(&details);
        self.say(&message);
    }

    fn earlier(&self) -> Option<Vec<u8>> {
        self.earlier.as_ref().map(|earlier| earlier.to_vec())
    }
}

/// Tells that a call of `wait` is over, also if it panicked.
struct GoesOn<'a> {
    host: &'a JobHost,
}

impl Drop for GoesOn<'_> {
    fn drop(&mut self) {
        if self.host.waits.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.host.say(&self.host.message(RUNS));
        }
    }
}
