//! [`JobHost`]: what a task's context finds in a job process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seat::{Job, Seat};
use super::voice::{Hurry, Voice};
use crate::desk::Board;
use crate::desk::protocol::{NO_OUTPUT, PROGRESS, Which};
use crate::{Host, Progress};

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
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    told: Option<Instant>,
    /// Came too soon after the last one.
    untold: Option<Progress>,
}

impl JobHost {
    pub(super) fn new(seat: &Seat, job: &Job) -> JobHost {
        JobHost {
            board: seat.board().clone(),
            voice: seat.voice().clone(),
            slot: job.slot,
            number: job.number,
            deadline: job.deadline,
            words: Mutex::default(),
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
        let mut message = Vec::with_capacity(32);
        let which = Which { slot: self.slot, output: NO_OUTPUT, is_returned: false, ran_ns: 0, number: self.number };
        which.write(PROGRESS, &mut message);
        message.extend_from_slice(&progress.done.to_ne_bytes());
        message.extend_from_slice(&progress.total.to_ne_bytes());
        // If the owner cannot be told, neither can it be told the result.
        let _ = self.voice.say(&message, Hurry::Now);
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
        // The owner holds the permit for this process.
        blocking();
    }
}
