//! [`Course`]: when a pipeline was run and when it ended, and who waits to hear of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ProgressState;

/// Belongs to the pipeline, which says when it begins and ends. Dropped without an end, it has failed.
pub(crate) struct Course(Arc<State>);

/// What the watchers see of it.
#[derive(Debug)]
pub(super) struct State {
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Phase {
    begun: Option<Instant>,
    ended: Option<(Duration, bool)>,
    /// Threads of watchers, which end by themselves when they hear of the end.
    watchers: Vec<JoinHandle<()>>,
}

impl Course {
    pub(crate) fn new() -> Course {
        Course(Arc::new(State { phase: Mutex::default(), changed: Condvar::new() }))
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.0
    }

    /// It is run.
    pub(crate) fn begin(&self) {
        self.0.locked().begun.get_or_insert_with(Instant::now);
        self.0.changed.notify_all();
    }

    /// It has ended; to be called when nothing is counted any more. The threads of its watchers are gone afterwards. Only
    /// the first end counts.
    pub(crate) fn end(&self, is_ok: bool) {
        let mut phase = self.0.locked();
        let time = phase.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        phase.ended.get_or_insert((time, is_ok));
        let watchers = std::mem::take(&mut phase.watchers);
        drop(phase);
        self.0.changed.notify_all();
        for watcher in watchers {
            // Its panic was printed, and is no error of the pipeline.
            let _ = watcher.join();
        }
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl State {
    fn locked(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> (ProgressState, Duration) {
        self.locked().now()
    }

    /// Until it has ended, has run for this long, or is asked to stop.
    pub(super) fn wait(&self, time: Duration, is_stopped: impl Fn() -> bool) -> (ProgressState, Duration) {
        let mut phase = self.locked();
        loop {
            let (state, elapsed) = phase.now();
            let is_over = matches!(state, ProgressState::Done | ProgressState::Failed);
            if is_over || is_stopped() || (state == ProgressState::Running && elapsed >= time) {
                return (state, elapsed);
            }
            phase = match state {
                ProgressState::Running => {
                    let waited = self.changed.wait_timeout(phase, time - elapsed);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.changed.wait(phase).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Whoever waits looks again whether it is stopped.
    pub(super) fn look_again(&self) {
        // Locked, so that nobody is between looking and waiting.
        drop(self.locked());
        self.changed.notify_all();
    }

    /// The end waits for this thread; if it has come already, the thread ends by itself.
    pub(super) fn join_at_end(&self, watcher: JoinHandle<()>) {
        let mut phase = self.locked();
        if phase.ended.is_none() {
            phase.watchers.retain(|watcher| !watcher.is_finished());
            phase.watchers.push(watcher);
        }
    }
}

impl Phase {
    fn now(&self) -> (ProgressState, Duration) {
        match (self.begun, self.ended) {
            (_, Some((time, true))) => (ProgressState::Done, time),
            (_, Some((time, false))) => (ProgressState::Failed, time),
            (Some(begun), None) => (ProgressState::Running, begun.elapsed()),
            (None, None) => (ProgressState::Waiting, Duration::ZERO),
        }
    }
}
