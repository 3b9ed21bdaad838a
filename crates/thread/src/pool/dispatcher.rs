//! Who gets which job when, and who sleeps: the queue, its lock, and the wake-ups.
//!
//! ```text
//!                 push ──► wake a sleeper, unless somebody is searching already
//!                   │
//!   searching ◄─────┴─ sleeping         a searcher spins for some microseconds, then looks once more
//!    │      └────────────► sleeping     under the lock, in which it also goes to sleep
//!    └─ takes a job ──► running         the last searcher to find a job wakes the next sleeper if jobs are left
//! ```
//!
//! Why no wake-up is lost: a searcher goes from "searching" to "sleeping" under the lock that `push` takes, having seen
//! empty lanes under it; so `push` finds either a searcher who will look again, or a sleeper to wake. `model.rs` tries
//! every order (loom).
//!
//! One lock and two plain queues instead of lock-free ones: measured no slower for jobs that are worth a thread, and
//! only so can the bound, the ageing rule, the sums of costs and the withdrawal of jobs be exact. The lock is held for
//! tens of nanoseconds; nothing is dropped and nobody is woken under it.

use std::time::{Duration, Instant};

use crate::pool::admission::Admitted;
use crate::pool::error::Refusal;
use crate::pool::lanes::{Entry, Lanes};
use crate::pool::pace::{Finished, Pace};
use crate::pool::standing::Standing;
use crate::sync::checked::{AtomicUsize, Bed, Condvar, Mutex, MutexGuard, Ordering, lock};

/// Whether jobs are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doors {
    Open,
    /// No new jobs; threads end when none is left.
    Closed,
}

struct State<J> {
    lanes: Lanes<J>,
    pace: Pace,
    standing: Standing,
    admitted: Admitted,
    doors: Doors,
    /// Threads that look for work: spinning, or woken and on their way.
    searching: usize,
    sleepers: Vec<usize>,
    running: usize,
    running_cost: u64,
    /// Threads that have not ended.
    alive: usize,
}

pub(crate) struct Dispatcher<J> {
    state: Mutex<State<J>>,
    /// As many as wait in the lanes, to be read without the lock.
    queued: AtomicUsize,
    /// As many as run, to be read without the lock.
    running: AtomicUsize,
    /// One per thread.
    beds: Box<[Bed]>,
    thread_ended: Condvar,
}

/// How full the pool is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) queued: usize,
    pub(crate) running: usize,
}

impl<J: Entry> Dispatcher<J> {
    pub(crate) fn new(threads: usize, cores: usize, queue_limit: usize, standing: Standing) -> Dispatcher<J> {
        Dispatcher {
            state: Mutex::new(State {
                lanes: Lanes::new(queue_limit),
                pace: Pace::new(threads, cores),
                standing,
                admitted: Admitted::default(),
                doors: Doors::Open,
                searching: 0,
                sleepers: Vec::with_capacity(threads),
                running: 0,
                running_cost: 0,
                alive: threads,
            }),
            queued: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            beds: (0..threads).map(|_| Bed::new()).collect(),
            thread_ended: Condvar::new(),
        }
    }

    /// Queues the job, unless it is refused. Without a cost it gets the usual one.
    pub(crate) fn push(&self, job: &J, cost: Option<u64>) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        let cost = cost.unwrap_or_else(|| state.pace.usual_cost());
        self.admission(&mut state, cost, Instant::now())?;
        job.set_cost(cost);
        state.lanes.push(job.clone());
        self.publish(&state);
        let sleeper = self.next_to_wake(&mut state);
        drop(state);
        wake(sleeper);
        Ok(())
    }

    /// Lets in a job of this cost that is submitted later; gives the number under which it counts.
    pub(crate) fn admit(&self, cost: u64) -> Result<u64, Refusal> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        self.admission(&mut state, cost, now)?;
        Ok(state.admitted.add(cost, now))
    }

    /// What was let in under this number is about to be submitted, or never will be.
    pub(crate) fn forget_admitted(&self, number: u64) {
        lock(&self.state).admitted.remove(number);
    }

    /// How long a job of this cost (without one: a heavy job) would wait if it came now.
    pub(crate) fn predicted_wait(&self, cost: Option<u64>) -> Duration {
        predicted_wait(&mut lock(&self.state), cost.unwrap_or(u64::MAX), Instant::now())
    }

    fn admission(&self, state: &mut State<J>, cost: u64, now: Instant) -> Result<(), Refusal> {
        if state.doors == Doors::Closed {
            return Err(Refusal::ShuttingDown);
        }
        if state.lanes.is_full() {
            return Err(Refusal::Full { queued: state.lanes.len(), limit: state.lanes.limit() });
        }
        let predicted = predicted_wait(state, cost, now);
        let limit = state.standing.limit(predicted, now);
        if predicted > limit {
            let retry_after = predicted.saturating_sub(limit / 2);
            return Err(Refusal::TooLongWait { predicted, limit, retry_after });
        }
        Ok(())
    }

    /// Counts a job as finished and takes the next one if any waits.
    pub(crate) fn finish(&self, finished: Finished) -> Option<J> {
        let mut husks = Vec::new();
        let mut state = lock(&self.state);
        state.running -= 1;
        state.running_cost = state.running_cost.saturating_sub(finished.cost);
        state.pace.record(finished);
        let next = self.take(&mut state, &mut husks);
        self.publish(&state);
        drop(state);
        next
    }

    /// The next job for thread `worker`, which sleeps until there is one; `None` when the thread shall end. `linger` is
    /// called before it goes to sleep: it may spin while the queue [`looks_empty`](Dispatcher::looks_empty).
    pub(crate) fn next(&self, worker: usize, mut linger: impl FnMut(&Self)) -> Option<J> {
        let mut husks = Vec::new();
        let mut state = lock(&self.state);
        state.searching += 1;
        loop {
            if state.doors == Doors::Open {
                drop(state);
                husks.clear();
                linger(self);
                state = lock(&self.state);
            }
            if let Some(job) = self.take(&mut state, &mut husks) {
                state.searching -= 1;
                let sleeper = self.next_to_wake(&mut state);
                drop(state);
                wake(sleeper);
                return Some(job);
            }
            state.searching -= 1;
            if state.doors == Doors::Closed {
                self.end(state);
                return None;
            }
            self.beds[worker].lie_down();
            state.sleepers.push(worker);
            drop(state);
            husks.clear();
            self.beds[worker].sleep();
            // Whoever woke us counted us as searching.
            state = lock(&self.state);
            if let Some(job) = self.take(&mut state, &mut husks) {
                state.searching -= 1;
                let sleeper = self.next_to_wake(&mut state);
                drop(state);
                wake(sleeper);
                return Some(job);
            }
        }
    }

    /// Takes a job out of the queue because nobody wants it any more; false if it is there no longer.
    pub(crate) fn withdraw(&self, job: &J) -> bool {
        let mut husks = Vec::new();
        let mut state = lock(&self.state);
        let withdrawn = state.lanes.withdraw(job, &mut husks);
        self.publish(&state);
        drop(state);
        withdrawn
    }

    /// No new jobs from now on; the threads finish what is queued and end.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.doors = Doors::Closed;
        let sleepers: Vec<_> = state.sleepers.drain(..).collect();
        state.searching += sleepers.len();
        drop(state);
        sleepers.into_iter().for_each(|worker| self.beds[worker].wake());
    }

    /// Takes everything out of the queue (after [`close`](Dispatcher::close)).
    pub(crate) fn take_all(&self) -> Vec<J> {
        let mut state = lock(&self.state);
        let jobs = state.lanes.take_all();
        self.publish(&state);
        jobs
    }

    /// Threads that a failed start will never bring.
    pub(crate) fn forget_threads(&self, threads: usize) {
        lock(&self.state).alive -= threads;
    }

    pub(crate) fn alive(&self) -> usize {
        lock(&self.state).alive
    }

    /// Blocks until all threads have ended, or until `deadline`.
    #[cfg(not(loom))]
    pub(crate) fn wait_until_ended(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        while state.alive > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.thread_ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// loom knows no time: its condition variables wait for ever.
    #[cfg(loom)]
    pub(crate) fn wait_until_ended(&self, _deadline: Instant) {
        let mut state = lock(&self.state);
        while state.alive > 0 {
            state = self.thread_ended.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    pub(crate) fn load(&self) -> Load {
        let state = lock(&self.state);
        Load { queued: state.lanes.len(), running: state.running }
    }

    /// Whether nothing waits, to the best of a glance without the lock.
    pub(crate) fn looks_empty(&self) -> bool {
        self.queued.load(Ordering::Relaxed) == 0
    }

    /// How many jobs run, to the best of a glance without the lock.
    pub(crate) fn glance_running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    fn take(&self, state: &mut State<J>, husks: &mut Vec<J>) -> Option<J> {
        let job = state.lanes.pop(husks)?;
        state.running += 1;
        state.running_cost = state.running_cost.saturating_add(job.cost());
        self.publish(state);
        Some(job)
    }

    fn publish(&self, state: &State<J>) {
        self.queued.store(state.lanes.len(), Ordering::Relaxed);
        self.running.store(state.running, Ordering::Relaxed);
    }

    /// A sleeper that has to wake up because there is work and nobody looks for it.
    fn next_to_wake(&self, state: &mut State<J>) -> Option<&Bed> {
        if state.searching > 0 || state.lanes.len() == 0 {
            return None;
        }
        // The one that slept last: its stack and caches are the warmest.
        let worker = state.sleepers.pop()?;
        state.searching += 1;
        Some(&self.beds[worker])
    }

    fn end(&self, mut state: MutexGuard<'_, State<J>>) {
        state.alive -= 1;
        drop(state);
        self.thread_ended.notify_all();
    }
}

fn wake(sleeper: Option<&Bed>) {
    if let Some(bed) = sleeper {
        bed.wake();
    }
}

/// Nothing while a thread is free; else what waits ahead, what was let in, and on average half of what runs.
fn predicted_wait<J: Entry>(state: &mut State<J>, cost: u64, now: Instant) -> Duration {
    let idle = state.alive.saturating_sub(state.running);
    let (admitted, admitted_cost) = state.admitted.sum(now);
    if idle > state.lanes.len() + admitted {
        return Duration::ZERO;
    }
    let ahead = state.lanes.cost_ahead_of(cost).saturating_add(admitted_cost);
    state.pace.time_for(ahead.saturating_add(state.running_cost / 2))
}
