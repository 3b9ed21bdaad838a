//! What all handles and all threads of a pool share, and what a thread does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Instant;

use crate::panic;
use crate::pool::context::JobContext;
use crate::pool::deadlines::{Alarm, Deadlines};
use crate::pool::dispatcher::Dispatcher;
use crate::pool::error::{JobError, Phase, Refusal};
use crate::pool::histogram::Distribution;
use crate::pool::job::{End, Job, Ran};
use crate::pool::lanes::Entry;
use crate::pool::metrics::{Counters, Metrics, ThreadRecord};
use crate::pool::pace::Finished;
use crate::pool::share::CoreShare;
use crate::pool::spin::Spinner;
use crate::sync::lock;

pub(crate) struct Core {
    pub(crate) dispatcher: Dispatcher<Job>,
    pub(crate) deadlines: Deadlines,
    pub(crate) counters: Counters,
    pub(crate) share: Option<CoreShare>,
    /// Set when the pool does not wait for its jobs any longer.
    pub(crate) given_up: AtomicBool,
    pub(crate) queue_limit: usize,
    pub(crate) records: Box<[ThreadRecord]>,
    /// Cores that spinning may use; 0 if it must not spin.
    pub(crate) spin_cores: usize,
    pub(crate) spinning: AtomicUsize,
    pub(crate) started: Instant,
    /// Tasks that wait for all threads to end.
    pub(crate) draining: Mutex<Vec<Waker>>,
}

/// The event loop that the jobs come from: it is busy too when it matters.
const EVENT_LOOP: usize = 1;

impl Core {
    /// The life of thread `worker`.
    pub(crate) fn work(self: Arc<Core>, worker: usize) {
        let mut spinner = Spinner::new();
        let mut following = None;
        loop {
            let next = following.take().or_else(|| self.dispatcher.next(worker, |_| self.linger(&mut spinner)));
            let Some(job) = next else { break };
            following = self.run(worker, job);
        }
        self.wake_draining();
    }

    /// Runs one job and takes the next, if one waits.
    fn run(&self, worker: usize, job: Job) -> Option<Job> {
        let picked = Instant::now();
        let started = match &self.share {
            Some(share) => {
                share.enter();
                Instant::now()
            }
            None => picked,
        };
        let ticket = job.0.ticket();
        if ticket.deadline_from_submit.is_some_and(|deadline| deadline <= started) {
            job.0.clone().stop(JobError::TimedOut(Phase::Queue));
        }
        let run_deadline = ticket.time_from_start.and_then(|time| started.checked_add(time));
        let alarm = run_deadline.map(|time| job.0.clone().set_alarm(time));
        let deadline = [ticket.deadline_from_submit, run_deadline].into_iter().flatten().min();

        let record = &self.records[worker];
        let waited = started.saturating_duration_since(ticket.submitted);
        let context = JobContext { job, deadline };
        record.begin(started.saturating_duration_since(self.started), waited);
        let ran = context.job.0.run(&context);
        let ended = Instant::now();
        record.end(ended - started);

        if let Some(share) = &self.share {
            share.leave();
        }
        if let Some(alarm) = alarm {
            self.deadlines.take_back(alarm);
        }
        let job = context.job;
        let unestimated = ran == Ran::Whole && !job.0.ticket().estimated;
        let following = self.dispatcher.finish(Finished {
            cost: job.cost(),
            occupied: ended - picked,
            unestimated_run: unestimated.then_some(ended - started),
            whole: ran == Ran::Whole,
        });
        job.0.complete();
        // Its caller may be gone meanwhile; then we drop the result, whose destructor is foreign code.
        panic::discard(job);
        following
    }

    /// Spins for some microseconds if that is likely to be of use.
    fn linger(&self, spinner: &mut Spinner) {
        if self.spin_cores == 0 || !spinner.is_worth_it() {
            return;
        }
        let busy = self.dispatcher.glance_running() + self.spinning.fetch_add(1, Ordering::Relaxed) + 1 + EVENT_LOOP;
        let cores_are_left = busy <= self.spin_cores && !self.share.as_ref().is_some_and(CoreShare::all_taken);
        if cores_are_left {
            spinner.spin(|| self.dispatcher.looks_empty());
        }
        self.spinning.fetch_sub(1, Ordering::Relaxed);
    }

    /// No longer waits for anything: queued jobs are refused, running ones told to stop. Returns how many of each.
    pub(crate) fn give_up(&self) -> (usize, usize) {
        self.dispatcher.close();
        self.given_up.store(true, Ordering::Relaxed);
        let mut queued = 0;
        for job in self.dispatcher.take_all() {
            if !job.0.ticket().is_stopped() {
                queued += 1;
                job.0.clone().stop(JobError::Refused(Refusal::ShuttingDown));
            }
            panic::discard(job);
        }
        (queued, self.dispatcher.load().running)
    }

    pub(crate) fn wake_draining(&self) {
        let wakers = std::mem::take(&mut *lock(&self.draining));
        for waker in wakers {
            let _ = panic::catch(|| waker.wake());
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let load = self.dispatcher.load();
        let ended = |end| self.counters.get(end);
        Metrics {
            threads: self.records.len(),
            queued: load.queued,
            queue_limit: self.queue_limit,
            running: load.running,
            completed: ended(End::Completed),
            panicked: ended(End::Panicked),
            timed_out: ended(End::TimedOut),
            cancelled: ended(End::Cancelled),
            refused: ended(End::Refused),
            ran_without_permit: self.share.as_ref().map_or(0, CoreShare::without_permit),
            predicted_wait: self.dispatcher.predicted_wait(None),
            busy: self.records.iter().map(|record| record.busy(self.started)).sum(),
            age: self.started.elapsed(),
            wait: Distribution::merged(self.records.iter().map(|record| &record.wait)),
            run: Distribution::merged(self.records.iter().map(|record| &record.run)),
        }
    }
}

/// The deadline of a drain: whoever waits for it looks again.
impl Alarm for Core {
    fn ring(self: Arc<Self>) {
        self.wake_draining();
    }
}
