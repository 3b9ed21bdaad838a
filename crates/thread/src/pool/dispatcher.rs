//! Who gets which job when, and who sleeps: the queue, its lock, and the wake-ups.
//!
//! ```text
//!                 push ──► wake a sleeper, or start a thread, unless somebody is searching already
//!                   │
//!   searching ◄─────┴─ sleeping         a searcher spins for some microseconds, then looks once more
//!    │      └────────────► sleeping     under the lock, in which it also goes to sleep
//!    └─ takes a job ──► running         the last searcher to find a job calls the next one if jobs are left
//! ```
//!
//! Why no wake-up is lost: a searcher goes from "searching" to "sleeping" under the lock that `push` takes, having seen
//! an empty queue under it; so `push` finds either a searcher who will look again, or a sleeper to wake, or a thread
//! that starts and looks when it is ready. `model.rs` tries every order (loom).
//!
//! One lock and plain queues instead of lock-free ones: measured no slower for jobs that are worth a thread, and only so
//! can the bound, the ageing rule, the sums of costs and the withdrawal of jobs be exact. The lock is held for tens of
//! nanoseconds; nothing is dropped and nobody is woken under it. The walk for deadlines alone holds it for longer
//! (`clock.rs`).

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::line::{AdmissionNumber, Finished, LineOptions, Nanos, Priority, Refusal, Waiting};
use crate::pool::entry::Entry;
use crate::pool::error::JobError;
use crate::pool::hands::{Hands, Next};
use crate::pool::staff::Size;
use crate::pool::state::{Call, Doors, State};
use crate::sync::checked::{AtomicUsize, Bed, Condvar, Mutex, MutexGuard, Ordering, lock};

pub(crate) struct Dispatcher<J> {
    state: Mutex<State<J>>,
    hands: Hands<J>,
    /// As many as wait in the queue, to be read without the lock.
    queued: AtomicUsize,
    /// As many as run, to be read without the lock.
    running: AtomicUsize,
    thread_ended: Condvar,
}

/// How full the pool is now.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) queued: usize,
    pub(crate) queued_by_priority: [usize; Priority::COUNT],
    pub(crate) running: usize,
    pub(crate) threads: usize,
    pub(crate) lived: Duration,
    pub(crate) failed_starts: u64,
    pub(crate) last_failure: Option<Arc<str>>,
}

impl<J: Entry> Dispatcher<J> {
    pub(crate) fn new(size: Size, line: LineOptions) -> Dispatcher<J> {
        Dispatcher {
            hands: Hands::new(size.most),
            state: Mutex::new(State::new(size, line)),
            queued: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            thread_ended: Condvar::new(),
        }
    }

    /// Queues the job, unless it is refused. Without a cost it gets the usual one.
    pub(crate) fn push(&self, job: &J, cost: Option<u64>, now: Instant) -> Result<Call, JobError> {
        let mut state = lock(&self.state);
        self.enqueue(&mut state, job, cost, now)?;
        Ok(state.call())
    }

    /// As [`push`](Dispatcher::push); if there is no room, `waker` is woken when it is worth another try.
    pub(crate) fn push_or_wait(
        &self,
        job: &J,
        cost: Option<u64>,
        now: Instant,
        waker: &Waker,
    ) -> Result<Call, JobError> {
        let mut state = lock(&self.state);
        match self.enqueue(&mut state, job, cost, now) {
            Ok(()) => Ok(state.call()),
            Err(error) => {
                if error.is_for_now() {
                    state.waiters.add(waker);
                }
                Err(error)
            }
        }
    }

    /// Queues many at once, in their order; tells for each why it was not taken, and calls as many as are needed.
    pub(crate) fn push_many(
        &self,
        jobs: &[J],
        cost: Option<u64>,
        now: Instant,
    ) -> (Vec<Result<(), JobError>>, Vec<Call>) {
        let mut state = lock(&self.state);
        let results: Vec<_> = jobs.iter().map(|job| self.enqueue(&mut state, job, cost, now)).collect();
        let taken = results.iter().filter(|result| result.is_ok()).count();
        let wanted = taken.saturating_sub(state.staff.searching);
        let calls = (0..wanted).map_while(|_| state.call_another()).collect();
        (results, calls)
    }

    fn enqueue(&self, state: &mut State<J>, job: &J, cost: Option<u64>, now: Instant) -> Result<(), JobError> {
        let cost = cost.unwrap_or_else(|| state.queue.usual_cost());
        state.admission(job.priority(), cost, now)?;
        if let Some(trouble) = state.staff.trouble() {
            return Err(JobError::NoThread { reason: trouble.to_string() });
        }
        let waiting = Waiting { job: job.clone(), cost, due: job.due_in_queue() };
        let key = state.queue.push(job.priority(), waiting);
        job.stands_at(key, cost);
        self.publish(state);
        Ok(())
    }

    /// Lets in a job of this cost that is submitted later; gives the number under which it counts.
    pub(crate) fn admit(&self, cost: u64) -> Result<AdmissionNumber, Refusal> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.admission(Priority::DEFAULT, cost, now)?;
        Ok(state.queue.is_let_in(cost, now))
    }

    /// What was let in under this number is about to be submitted, or never will be.
    pub(crate) fn forget_admitted(&self, number: AdmissionNumber) {
        let mut state = lock(&self.state);
        state.queue.forget(number);
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
    }

    /// How long a job of this cost (without one: a heavy job) would wait if it came now.
    pub(crate) fn predicted_wait(&self, cost: Option<u64>) -> Duration {
        lock(&self.state).predicted_wait(cost.unwrap_or(u64::MAX), Instant::now())
    }

    /// Counts the job of thread `worker` as finished and takes the next one if any waits.
    pub(crate) fn finish(&self, worker: usize, finished: Finished) -> Option<J> {
        match self.hands.next(worker, finished) {
            (Next::Job(job), _left) => Some(job),
            (Next::Ask(finished), _left) => self.report(&finished, |state| {
                let share = state.share();
                self.take(worker, state, share)
            }),
        }
    }

    /// Counts the job of thread `worker` as finished; the thread has to start anew.
    pub(crate) fn finish_and_start_again(&self, worker: usize, finished: Finished) {
        let (finished, _left) = self.hands.leave(worker, finished);
        self.report(&finished, |state| {
            state.staff.is_starting_again();
            None
        });
    }

    fn report(&self, finished: &[Finished], then: impl FnOnce(&mut State<J>) -> Option<J>) -> Option<J> {
        let mut state = lock(&self.state);
        state.record(finished);
        let next = then(&mut state);
        self.publish(&state);
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
        next
    }

    /// The next job for thread `worker`, which sleeps in `bed` until there is one, and whom to call for those that are
    /// left; `None` when the thread shall end (and then say so: [`has_ended`](Dispatcher::has_ended)). `linger` is called before it goes to sleep: it may spin while the queue
    /// [`looks_empty`](Dispatcher::looks_empty).
    pub(crate) fn next(&self, worker: usize, bed: &Arc<Bed>, mut linger: impl FnMut(&Self)) -> Option<(J, Call)> {
        let mut state = lock(&self.state);
        let longest_sleep = state.staff.size.longest_sleep();
        state.staff.searching += 1;
        let mut has_lingered = false;
        let mut has_idled_for_long = false;
        loop {
            if let Some(job) = self.take(worker, &mut state, 0) {
                state.staff.searching -= 1;
                return Some((job, state.call()));
            }
            if state.doors == Doors::Closed || (has_idled_for_long && state.staff.is_one_too_many()) {
                state.staff.searching -= 1;
                state.staff.is_leaving();
                return None;
            }
            if !has_lingered {
                has_lingered = true;
                drop(state);
                linger(self);
                state = lock(&self.state);
                continue;
            }
            state.staff.lies_down(bed);
            drop(state);
            let was_woken = bed.sleep(longest_sleep);
            state = lock(&self.state);
            has_idled_for_long = !was_woken && state.staff.gets_up(bed);
            if !was_woken && !has_idled_for_long {
                // Somebody wakes it just now; the next sleep must not end by that.
                drop(state);
                bed.sleep(None);
                state = lock(&self.state);
            }
            has_lingered = has_idled_for_long;
        }
    }

    /// Takes a job out of the queue because nobody wants it any more; false if it is there no longer.
    pub(crate) fn withdraw(&self, job: &J) -> bool {
        let mut state = lock(&self.state);
        let withdrawn = state.queue.withdraw(job.key()).or_else(|| {
            let (job, cost) = if state.dealt > 0 { self.hands.withdraw(job)? } else { return None };
            state.left_a_hand(cost);
            Some(job)
        });
        self.publish(&state);
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
        withdrawn.is_some()
    }

    /// Those for which it is too late at `now`, and the earliest deadline of the others. `started` tells when the job
    /// of a thread began.
    pub(crate) fn overdue(&self, now: Nanos, started: impl Fn(usize) -> Option<Nanos>) -> (Vec<J>, Nanos) {
        let mut overdue = Vec::new();
        let state = lock(&self.state);
        let earliest = state.queue.overdue(now, |_, job| overdue.push(job.clone()));
        let earliest = earliest.min(self.hands.overdue(now, started, &mut overdue));
        drop(state);
        (overdue, earliest)
    }

    /// No new jobs from now on; the threads finish what is queued and end.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.doors = Doors::Closed;
        let sleepers: Vec<_> = std::iter::from_fn(|| state.staff.rouse()).collect();
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
        sleepers.into_iter().for_each(|bed| bed.wake());
    }

    /// Takes everything out of the queue (after [`close`](Dispatcher::close)).
    pub(crate) fn take_all(&self) -> Vec<J> {
        let mut state = lock(&self.state);
        let jobs = self.clear(&mut state);
        self.publish(&state);
        jobs
    }

    fn clear(&self, state: &mut State<J>) -> Vec<J> {
        let mut jobs = state.queue.take_all();
        while let Some((job, cost)) = self.hands.steal() {
            state.left_a_hand(cost);
            jobs.push(job);
        }
        jobs
    }

    /// The number of a thread that is to be started, if there may be one more.
    pub(crate) fn hire(&self) -> Option<usize> {
        lock(&self.state).staff.hire()
    }

    /// A thread that was starting looks for work now.
    pub(crate) fn is_ready(&self) {
        lock(&self.state).staff.is_ready();
    }

    /// A starting thread failed: how long to wait before the next try; else it has ended, and with the last thread go
    /// the jobs that nobody will run.
    pub(crate) fn init_failed(&self, worker: usize, why: &Arc<str>) -> Result<Duration, Vec<J>> {
        let mut state = lock(&self.state);
        match state.staff.init_failed(worker, why.clone()) {
            Some(wait) if state.doors == Doors::Open => Ok(wait),
            Some(_) => {
                state.staff.cannot_start(worker, why.clone());
                Err(self.abandoned(state))
            }
            None => Err(self.abandoned(state)),
        }
    }

    /// A thread could not be started; with the last thread go the jobs that nobody will run.
    pub(crate) fn cannot_start(&self, worker: usize, why: &Arc<str>) -> Vec<J> {
        let mut state = lock(&self.state);
        state.staff.cannot_start(worker, why.clone());
        self.abandoned(state)
    }

    fn abandoned(&self, mut state: MutexGuard<'_, State<J>>) -> Vec<J> {
        let jobs = if state.staff.staying() == 0 { self.clear(&mut state) } else { Vec::new() };
        self.publish(&state);
        let waiters = state.waiters.take();
        drop(state);
        waiters.wake();
        self.thread_ended.notify_all();
        jobs
    }

    /// A thread that takes no more jobs has let go of all that it had. Jobs that came meanwhile may want another in its
    /// place.
    pub(crate) fn has_ended(&self, worker: usize) -> Call {
        let mut state = lock(&self.state);
        state.staff.has_ended(worker);
        let call = state.call();
        drop(state);
        self.thread_ended.notify_all();
        call
    }

    /// Threads that have not ended.
    pub(crate) fn alive(&self) -> usize {
        lock(&self.state).staff.alive()
    }

    /// Blocks until all threads have ended, or until `deadline`.
    #[cfg(not(loom))]
    pub(crate) fn wait_until_ended(&self, deadline: Instant) {
        let mut state = lock(&self.state);
        while state.staff.alive() > 0 {
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
        while state.staff.alive() > 0 {
            state = self.thread_ended.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    pub(crate) fn load(&self) -> Load {
        let state = lock(&self.state);
        let (failed_starts, last_failure) = state.staff.failures();
        let mut queued_by_priority = state.queue.len_by_priority();
        let mut in_hands = 0;
        self.hands.waiting(|job| {
            queued_by_priority[job.priority().index()] += 1;
            in_hands += 1;
        });
        Load {
            queued: state.queue.len() + in_hands,
            queued_by_priority,
            running: state.queue.running().saturating_sub(in_hands),
            threads: state.staff.alive(),
            lived: state.staff.lived(),
            failed_starts,
            last_failure,
        }
    }

    /// Whether nothing waits, to the best of a glance without the lock.
    pub(crate) fn looks_empty(&self) -> bool {
        self.queued.load(Ordering::Relaxed) == 0
    }

    /// How many jobs run, to the best of a glance without the lock.
    pub(crate) fn glance_running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Takes the next job for a thread, and at most `share` more into its hand.
    fn take(&self, worker: usize, state: &mut State<J>, share: usize) -> Option<J> {
        let (job, cost) = match state.draw() {
            Some(next) => next,
            None if state.dealt > 0 => {
                let stolen = self.hands.steal()?;
                state.dealt -= 1;
                stolen
            }
            None => return None,
        };
        let taken = self.hands.begin(worker, &job, cost, share, || state.draw());
        state.dealt += taken;
        self.publish(state);
        Some(job)
    }

    fn publish(&self, state: &State<J>) {
        self.queued.store(state.queue.len(), Ordering::Relaxed);
        self.running.store(state.queue.running(), Ordering::Relaxed);
    }
}
