//! [`Share`]: the pool's share of the cluster's cores.
//!
//! The rule is that of the thread pool: of the processes that run a task, as many may as there are permits held, but always
//! one; a task for which there is none waits for [`PATIENCE`] and then runs all the same.

use std::time::{Duration, Instant};

use phalanx_shared::{Owner, Permit, Permits};

/// How long a task waits for a permit at most.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often it is looked for one meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(in crate::pool) struct Share {
    source: Option<(Permits, Owner)>,
    held: Vec<Permit>,
    pub(super) running: usize,
    /// Since when a task waits for a permit and for nothing else.
    wanted_since: Option<Instant>,
    without_permit: u64,
}

/// Whether one more process may run a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Go,
    /// Ask again then.
    Wait(Instant),
}

impl Share {
    pub(in crate::pool) fn new(source: Option<(Permits, Owner)>) -> Share {
        Share { source, held: Vec::new(), running: 0, wanted_since: None, without_permit: 0 }
    }

    pub(super) fn ask(&mut self, now: Instant) -> Pass {
        let Some((permits, owner)) = &self.source else { return Pass::Go };
        while self.held.len() <= self.running {
            match permits.try_acquire(*owner) {
                Some(permit) => self.held.push(permit),
                None => break,
            }
        }
        if self.running < self.held.len().max(1) {
            return Pass::Go;
        }
        let since = *self.wanted_since.get_or_insert(now);
        if now >= since + PATIENCE {
            self.without_permit += 1;
            return Pass::Go;
        }
        Pass::Wait((now + LOOK_AGAIN).min(since + PATIENCE))
    }

    /// A process runs a task that ran none.
    pub(super) fn begin(&mut self) {
        self.running += 1;
        self.wanted_since = None;
    }

    /// A process runs none any more.
    pub(super) fn end(&mut self) {
        self.running -= 1;
    }

    /// Permits that are not needed; to be dropped without the lock, since that may wake somebody.
    pub(in crate::pool) fn spare(&mut self) -> Vec<Permit> {
        if self.held.len() <= self.running { Vec::new() } else { self.held.split_off(self.running) }
    }

    pub(super) fn without_permit(&self) -> u64 {
        self.without_permit
    }
}
