//! [`Process`]: a job process as the state knows it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::JobKey;
use crate::pool::{Killed, Recycled};

#[derive(Debug)]
pub(super) struct Process<S> {
    pub(super) level: usize,
    pub(super) stage: Stage,
    /// What it has to do, in order.
    pub(super) queue: VecDeque<Placed<S>>,
    /// Since when its first task is the first, and when it began to have nothing to do or to start.
    pub(super) head_since: Instant,
    /// When it is killed because its first task does not stop.
    pub(super) kill_at: Option<(Instant, Killed)>,
    /// Whether its first task has said that it blocks, so that it needs no permit.
    pub(super) waits: Waits,
    /// Whether a large input is on its way to its desk.
    pub(super) is_loading: bool,
    /// Whether its desk had no room, and nothing was answered since.
    pub(super) is_full: bool,
    /// Tasks that it has answered.
    pub(super) jobs: u64,
    /// How long its first task ran, as it says: less than we see, for it does not count how long we slept.
    pub(super) said: Option<Duration>,
    /// The same when its memory was looked at, and when that was.
    pub(super) weighed: (u64, Instant),
    /// What it said that makes no sense.
    pub(super) malformed: Option<String>,
}

/// Whether a task blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::pool) enum Waits {
    #[default]
    Not,
    ForSomething,
}

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Ready,
    /// It finishes what it has, and ends.
    Leaving(Recycled),
    /// The keeper was told to kill it.
    Doomed,
}

/// A task at a desk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<S> {
    pub(super) key: JobKey,
    pub(super) id: u64,
    /// Nothing while it is on its way there.
    pub(super) slot: Option<S>,
    pub(super) kind: usize,
}

impl<S: Copy> Process<S> {
    pub(super) fn starting(level: usize, now: Instant) -> Process<S> {
        Process {
            level,
            stage: Stage::Starting,
            queue: VecDeque::new(),
            head_since: now,
            kill_at: None,
            waits: Waits::Not,
            is_loading: false,
            is_full: false,
            jobs: 0,
            said: None,
            weighed: (0, now),
            malformed: None,
        }
    }

    /// Whether it can be given a task now.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Ready && !self.is_loading && !self.is_full && self.kill_at.is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.is_open()
    }

    pub(super) fn head(&self) -> Option<JobKey> {
        self.queue.front().map(|placed| placed.key)
    }

    pub(super) fn slot_of(&self, key: JobKey) -> Option<S> {
        self.queue.iter().find(|placed| placed.key == key)?.slot
    }

    /// Its first task was answered and is out of the queue.
    pub(super) fn has_answered(&mut self, now: Instant) {
        self.jobs += 1;
        self.is_full = false;
        self.kill_at = None;
        self.head_since = now;
    }

    /// A task is no longer there. True if nothing is left.
    pub(super) fn forget(&mut self, key: JobKey, now: Instant) -> bool {
        if self.head() == Some(key) {
            self.kill_at = None;
            self.head_since = now;
        }
        self.queue.retain(|placed| placed.key != key);
        self.queue.is_empty()
    }
}
