//! Tiny jobs that a thread takes along: several for one turn of the queue's lock.
//!
//! ```text
//!   queue ── first ──────────────► runs
//!      └──── some more, if tiny ─► hand of the thread ──► runs next, without the queue's lock
//!                                        └── any thread that finds the queue empty ──► runs there
//! ```
//!
//! For jobs of a microsecond the queue's lock is what limits a pool: each turn of it moves the queue from one core's cache
//! to another's. So a thread that takes a tiny job takes up to [`MOST`] more of them, but only while no thread is idle or
//! could be started, only its share of what waits, and only [`MOST_NANOS`] of work by estimate. The price: a job of
//! higher priority that comes meanwhile starts so much later.
//!
//! Estimates can be wrong, and a job may never end. So a hand is not a promise: before a thread goes to sleep it takes
//! what the hands of others hold; a job whose caller is gone is taken out; and deadlines are watched there as in the queue.
//!
//! Locks: first that of the queue, then that of a hand. A thread alone with its hand needs the second only.

use std::collections::VecDeque;

use crate::line::{Finished, NEVER, Nanos};
use crate::pool::entry::Entry;
use crate::sync::Apart;
use crate::sync::checked::{Mutex, MutexGuard, lock};

/// Jobs that a thread takes along at most.
const MOST: usize = 31;
/// What a tiny job takes at most, by its estimate, and what all that a thread takes along may take together.
const TINY_NANOS: u64 = 5_000;
const MOST_NANOS: u64 = 20_000;

/// One hand for each thread that there may be.
pub(crate) struct Hands<J>(Box<[Apart<Mutex<Hand<J>>>]>);

struct Hand<J> {
    jobs: VecDeque<(J, u64)>,
    /// The job that runs, if it has a deadline.
    current: Option<J>,
    /// What was finished since the queue was told.
    finished: Vec<Finished>,
}

/// How a thread goes on with what it holds.
pub(crate) enum Next<J> {
    /// With this job.
    Job(J),
    /// With what the queue has; these were finished meanwhile.
    Ask(Vec<Finished>),
}

impl<J: Entry> Hands<J> {
    pub(crate) fn new(threads: usize) -> Hands<J> {
        let hand = || Hand { jobs: VecDeque::new(), current: None, finished: Vec::new() };
        Hands((0..threads).map(|_| Apart(Mutex::new(hand()))).collect())
    }

    fn of(&self, worker: usize) -> MutexGuard<'_, Hand<J>> {
        lock(&self.0[worker])
    }

    /// A thread has finished a job. Also what is to be dropped outside of all locks.
    pub(crate) fn next(&self, worker: usize, finished: Finished) -> (Next<J>, Option<J>) {
        let mut hand = self.of(worker);
        hand.finished.push(finished);
        let left = hand.current.take();
        match hand.jobs.pop_front() {
            Some((job, _)) => {
                hand.note(&job);
                (Next::Job(job), left)
            }
            None => (Next::Ask(std::mem::take(&mut hand.finished)), left),
        }
    }

    /// As [`next`](Hands::next), for a thread that goes on with nothing; what it holds is left to the others.
    pub(crate) fn leave(&self, worker: usize, finished: Finished) -> (Vec<Finished>, Option<J>) {
        let mut hand = self.of(worker);
        hand.finished.push(finished);
        (std::mem::take(&mut hand.finished), hand.current.take())
    }

    /// A thread begins a job that it took from the queue, and takes along what `more` gives: the next job and its cost.
    /// How many those were.
    pub(crate) fn begin(
        &self,
        worker: usize,
        job: &J,
        cost: u64,
        share: usize,
        mut more: impl FnMut() -> Option<(J, u64)>,
    ) -> usize {
        let mut hand = self.of(worker);
        hand.note(job);
        let mut nanos = cost;
        let mut taken = 0;
        let mut last_was_tiny = cost <= TINY_NANOS;
        while taken < share.min(MOST) && last_was_tiny && nanos < MOST_NANOS {
            let Some((job, cost)) = more() else { break };
            last_was_tiny = cost <= TINY_NANOS;
            nanos = nanos.saturating_add(cost);
            hand.jobs.push_back((job, cost));
            taken += 1;
        }
        taken
    }

    /// Takes a job out of any hand.
    pub(crate) fn steal(&self) -> Option<(J, u64)> {
        self.0.iter().find_map(|hand| lock(hand).jobs.pop_front())
    }

    /// Takes this job out of whichever hand holds it.
    pub(crate) fn withdraw(&self, job: &J) -> Option<(J, u64)> {
        self.0.iter().find_map(|hand| {
            let mut hand = lock(hand);
            let index = hand.jobs.iter().position(|(its, _)| its.is(job))?;
            hand.jobs.remove(index)
        })
    }

    /// Jobs that wait in hands.
    pub(crate) fn waiting(&self, mut each: impl FnMut(&J)) {
        self.0.iter().for_each(|hand| lock(hand).jobs.iter().for_each(|(job, _)| each(job)));
    }

    /// Puts clones of those for which it is too late into `overdue`; the earliest time among the others. `started` tells
    /// when the job of a thread began.
    pub(crate) fn overdue(&self, now: Nanos, started: impl Fn(usize) -> Option<Nanos>, overdue: &mut Vec<J>) -> Nanos {
        let mut earliest = NEVER;
        for (worker, hand) in self.0.iter().enumerate() {
            let hand = lock(hand);
            let running = hand.current.iter().map(|job| (job.due_on_thread(started(worker)), job));
            let waiting = hand.jobs.iter().map(|(job, _)| (job.due_in_queue(), job));
            for (due, job) in running.chain(waiting) {
                match due {
                    NEVER => {}
                    due if due > now => earliest = earliest.min(due),
                    _ => overdue.push(job.clone()),
                }
            }
        }
        earliest
    }
}

impl<J: Entry> Hand<J> {
    fn note(&mut self, job: &J) {
        self.current = job.has_deadline().then(|| job.clone());
    }
}
