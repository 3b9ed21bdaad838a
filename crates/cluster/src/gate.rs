//! The accept gate: keeps bursts of lasting connections even between workers that share a listening socket.
//!
//! Every worker sleeps on the same socket; whoever wakes first would drain the queue, and of 64 connections that come
//! at once 58 would end on one of two workers. So, *once the listener is readable*, a worker that leads the least busy
//! sibling stands back for a moment:
//!
//! ```text
//!   readable ─► do I lead by SLACK? ─ no ──► accept one, let the event loop turn
//!                   │ yes
//!                   ▼
//!               wait 50 µs ─► is the queue empty? ─ yes ─► somebody took it
//!                   ▲              │ no
//!                   └── up to ten times, then accept all the same
//! ```
//!
//! A sibling that took nothing during several such waits is not alive enough to wait for: it is ignored until its
//! counter moves, so a stopped or hung worker costs its siblings next to nothing. The gate balances numbers, not load:
//! a worker that was just replaced would draw every new connection until it is level; it draws [`MAX_LEAD`] at most.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phalanx_channel::Watched;
use phalanx_shared::{Field, Slot};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};
use serde::{Deserialize, Serialize};

use crate::siblings::Siblings;

/// Whether workers that share a listening socket stand back for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Gate {
    /// They do: lasting connections are spread evenly.
    #[default]
    On,
    /// They do not: the first to wake takes what it can. For measuring.
    Off,
}

/// A worker stands back while it has at least this many connections more than the least busy live sibling. With 1 or 2
/// a burst ends level; with 2 short connections lose nothing in speed.
const SLACK: u64 = 2;

/// Longest time for which one connection is left waiting.
const PATIENCE: Duration = Duration::from_micros(500);

/// From one look at the queue to the next: about what a worker needs to wake up and accept.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// After this many waits in which it took nothing, a sibling is ignored until it accepts again.
const SILENT_WAITS: u32 = 8;

/// A new or returned sibling draws at most this many connections before it counts as level.
const MAX_LEAD: u64 = 16;

/// The gate of one worker in front of one listener.
pub(crate) struct AcceptGate {
    own: Arc<Slot>,
    siblings: Arc<Siblings>,
    version: usize,
    rivals: Vec<Rival>,
    pause: Arc<Pause>,
}

/// What this worker knows of another.
struct Rival {
    slot: Arc<Slot>,
    pid: u64,
    accepted: u64,
    silent_waits: u32,
    /// Connections by which we may lead without standing back; shrinks as the rival catches up.
    head_start: u64,
}

impl Rival {
    fn new(slot: Arc<Slot>) -> Rival {
        Rival { slot, pid: 0, accepted: 0, silent_waits: 0, head_start: 0 }
    }

    /// By how much `own` connections are more than the rival's; `None` if it takes no connections now.
    fn lead(&mut self, own: u64) -> Option<u64> {
        let pid = self.slot.get(Field::Pid);
        if pid == 0 || self.slot.get(Field::Accepting) == 0 {
            return None;
        }
        let theirs = self.slot.get(Field::Connections);
        let accepted = self.slot.get(Field::Accepted);
        let returned = accepted != self.accepted && self.silent_waits >= SILENT_WAITS;
        if pid != self.pid || returned {
            self.head_start = own.saturating_sub(theirs + MAX_LEAD);
        }
        if pid != self.pid || accepted != self.accepted {
            (self.pid, self.accepted, self.silent_waits) = (pid, accepted, 0);
        }
        if self.silent_waits >= SILENT_WAITS {
            return None;
        }
        let behind = own.saturating_sub(theirs);
        self.head_start = self.head_start.min(behind);
        Some(behind - self.head_start)
    }
}

impl AcceptGate {
    pub(crate) fn new(own: Arc<Slot>, siblings: Arc<Siblings>) -> io::Result<AcceptGate> {
        let pause = siblings.pause()?;
        Ok(AcceptGate { own, siblings, version: 0, rivals: Vec::new(), pause })
    }

    /// Stands back while a sibling should take what waits in `listener`. True if this worker is to accept now, false
    /// if nothing waits any more.
    pub(crate) async fn may_accept(&mut self, listener: &impl AsFd) -> io::Result<bool> {
        if self.least_busy().is_none() {
            return Ok(true);
        }
        let began = Instant::now();
        self.own.add(Field::Deferred, 1);
        loop {
            self.pause.wait().await?;
            if !has_waiting(listener)? {
                return Ok(false);
            }
            let Some(rival) = self.least_busy() else { return Ok(true) };
            if began.elapsed() >= PATIENCE {
                self.rivals[rival].silent_waits += 1;
                return Ok(true);
            }
        }
    }

    /// The rival that this worker leads by [`SLACK`] or more, and by the most.
    fn least_busy(&mut self) -> Option<usize> {
        if self.version != self.siblings.version() {
            self.version = self.siblings.version();
            self.rivals = self.siblings.slots().into_iter().map(Rival::new).collect();
        }
        let own = self.own.get(Field::Connections);
        let leads = self.rivals.iter_mut().enumerate().filter_map(|(index, rival)| Some((rival.lead(own)?, index)));
        leads.max().filter(|(lead, _)| *lead >= SLACK).map(|(_, index)| index)
    }
}

/// A wait of [`LOOK_AGAIN`] at most, in which the event loop turns. (The runtime's own timer has a grain of a millisecond.)
/// All gates of a worker share one timer: who comes while it runs waits for its end, and looks a little earlier.
#[derive(Debug)]
pub(crate) struct Pause {
    timer: Watched,
    runs: AtomicBool,
}

impl Pause {
    pub(crate) fn new() -> io::Result<Pause> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Pause { timer: Watched::for_reading(timer)?, runs: AtomicBool::new(false) })
    }

    async fn wait(&self) -> io::Result<()> {
        let ours = !self.runs.swap(true, Ordering::Relaxed);
        // Given back also if this wait is given up: nobody may wait for a timer that was never set again.
        let _run = ours.then_some(Run(&self.runs));
        if ours {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec { tv_sec: 0, tv_nsec: LOOK_AGAIN.subsec_nanos().into() };
            let once = Itimerspec { it_interval: zero, it_value: value };
            rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        }
        self.timer.readable().await?.clear_ready();
        Ok(())
    }
}

/// The timer runs for somebody.
struct Run<'a>(&'a AtomicBool);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Whether a connection waits in the listener's queue.
fn has_waiting(listener: &impl AsFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut polled, Some(&now)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(connections: u64) -> Arc<Slot> {
        let slot = Slot::create().unwrap();
        slot.set(Field::Pid, 1);
        slot.set(Field::Accepting, 1);
        slot.set(Field::Connections, connections);
        Arc::new(slot)
    }

    #[test]
    fn a_worker_stands_back_only_for_one_that_is_behind_and_accepts() {
        let slot = worker(10);
        let mut rival = Rival::new(Arc::clone(&slot));
        assert_eq!(rival.lead(12), Some(2));
        assert_eq!(rival.lead(9), Some(0));
        slot.set(Field::Accepting, 0);
        assert_eq!(rival.lead(12), None);
    }

    #[test]
    fn a_silent_sibling_is_ignored_until_it_accepts_again() {
        let slot = worker(0);
        let mut rival = Rival::new(Arc::clone(&slot));
        assert_eq!(rival.lead(5), Some(5));
        rival.silent_waits = SILENT_WAITS;
        assert_eq!(rival.lead(5), None);
        slot.add(Field::Accepted, 1);
        assert_eq!(rival.lead(5), Some(5));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn gates_that_wait_at_once_share_a_timer_and_none_waits_for_ever() {
        let siblings = Siblings::default();
        let pause = siblings.pause().unwrap();
        assert!(Arc::ptr_eq(&pause, &siblings.pause().unwrap()));
        for _ in 0..100 {
            let waits: Vec<_> = (0..20)
                .map(|_| {
                    let pause = Arc::clone(&pause);
                    tokio::spawn(async move { pause.wait().await })
                })
                .collect();
            // One that is given up in the middle takes nothing from the others.
            let given_up = tokio::spawn({
                let pause = Arc::clone(&pause);
                async move { pause.wait().await }
            });
            tokio::task::yield_now().await;
            given_up.abort();
            for wait in waits {
                tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap().unwrap().unwrap();
            }
        }
    }

    #[test]
    fn a_replaced_sibling_draws_a_bounded_number_of_connections() {
        let slot = worker(0);
        let mut rival = Rival::new(Arc::clone(&slot));
        assert_eq!(rival.lead(100), Some(MAX_LEAD));
        slot.set(Field::Connections, 16);
        assert_eq!(rival.lead(100), Some(0), "level after its share");
        // Our old connections end: the head start shrinks with them and does not come back.
        assert_eq!(rival.lead(20), Some(0));
        assert_eq!(rival.lead(24), Some(4));
    }
}
