//! [`Events`]: how far a pipeline is, at an interval.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::rate::Rate;
use super::{Progress, ProgressState, Watch};

/// At least this long between two events.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// How far a pipeline is, at each interval, and once more at its end: an iterator that waits, made by [`Watch::every`].
pub struct Events {
    pub(super) watch: Watch,
    interval: Duration,
    next: Duration,
    rate: Rate,
    is_over: bool,
    pub(super) is_stopped: Arc<AtomicBool>,
}

impl Events {
    pub(super) fn new(watch: Watch, interval: Duration) -> Events {
        let interval = interval.max(LEAST_INTERVAL);
        Events { watch, interval, next: interval, rate: Rate::default(), is_over: false, is_stopped: Arc::default() }
    }
}

impl Iterator for Events {
    type Item = Progress;

    fn next(&mut self) -> Option<Progress> {
        if self.is_over {
            return None;
        }
        let is_stopped = || self.is_stopped.load(Ordering::Relaxed);
        let (state, elapsed) = self.watch.course.wait(self.next, is_stopped);
        match state {
            ProgressState::Done | ProgressState::Failed => {
                self.is_over = true;
                Some(self.watch.at(state, elapsed))
            }
            ProgressState::Running if !is_stopped() => {
                self.next = elapsed + self.interval;
                let progress = self.watch.at(state, elapsed);
                Some(progress.with_rate(self.rate.update(progress.read, elapsed)))
            }
            ProgressState::Running | ProgressState::Waiting => {
                self.is_over = true;
                None
            }
        }
    }
}
