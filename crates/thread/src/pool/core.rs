//! What all handles and all threads of a pool share, and what a thread does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use phalanx_shared::Spinner;

use crate::line::{Finished, KeysInUse, NEVER, Nanos, Refusal, nanos};
use crate::panic;
use crate::pool::clock::{Keeper, Watched};
use crate::pool::context::JobContext;
use crate::pool::dispatcher::Dispatcher;
use crate::pool::error::{JobError, Phase};
use crate::pool::histogram::Distribution;
use crate::pool::init::{self, Init};
use crate::pool::job::{End, Job, Ran};
use crate::pool::metrics::{Counters, Metrics, ThreadRecord};
use crate::pool::share::CoreShare;
use crate::pool::spin::FOR_A_JOB;
use crate::pool::staff::Size;
use crate::pool::start::Outfit;
use crate::sync::checked::Bed;
use crate::sync::{Apart, lock};

pub(crate) struct Core {
    pub(crate) dispatcher: Apart<Dispatcher<Job>>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) counters: Apart<Counters>,
    /// Of jobs that may be under way only once.
    pub(crate) keys: KeysInUse,
    pub(crate) share: Option<CoreShare>,
    pub(crate) size: Size,
    pub(crate) outfit: Outfit,
    pub(crate) init: Option<Init>,
    /// Set when the pool does not wait for its jobs any longer.
    pub(crate) given_up: AtomicBool,
    pub(crate) queue_limit: usize,
    /// By the number of the thread; made by the first one of that number.
    pub(crate) records: Box<[OnceLock<ThreadRecord>]>,
    /// Cores that spinning may use; 0 if it must not spin.
    pub(crate) spin_cores: usize,
    pub(crate) spinning: Apart<AtomicUsize>,
    /// Submissions that somebody holds and that have told nothing yet.
    pub(crate) submissions: Apart<AtomicUsize>,
    /// For whoever holds the only one.
    pub(crate) awaiting: Apart<Spinner>,
    pub(crate) started: Instant,
    /// Tasks that wait for all threads to end, each with its deadline.
    pub(crate) draining: Mutex<Vec<(Nanos, Waker)>>,
}

/// The event loop that the jobs come from: it is busy too when it matters.
const EVENT_LOOP: usize = 1;

/// How a thread goes on after a job.
enum After {
    /// With this job, or with what comes.
    Next(Option<Job>),
    /// It lost its state to a panic, and has to make a new one.
    StartAgain,
}

impl Core {
    pub(crate) fn at(&self, time: Instant) -> Nanos {
        nanos(time.saturating_duration_since(self.started))
    }

    /// The life of thread `worker` from the moment when it is ready; whether it lost its state.
    pub(crate) fn work(self: &Arc<Self>, worker: usize, bed: &Arc<Bed>) -> bool {
        let spinner = Spinner::new(FOR_A_JOB);
        loop {
            let Some((mut job, call)) = self.dispatcher.next(worker, bed, |_| self.linger(&spinner)) else {
                return false;
            };
            self.answer(call);
            loop {
                match self.run(worker, job) {
                    After::Next(Some(following)) => job = following,
                    After::Next(None) => break,
                    After::StartAgain => return true,
                }
            }
        }
    }

    /// Runs one job and takes the next, if one waits.
    fn run(self: &Arc<Self>, worker: usize, job: Job) -> After {
        let picked = self.keeper.now();
        let started = match &self.share {
            Some(share) => {
                share.enter();
                self.keeper.now()
            }
            None => picked,
        };
        let record = self.record(worker);
        let ticket = job.0.ticket();
        record.begin(started, started.saturating_sub(ticket.submitted));
        if ticket.due <= started {
            job.0.clone().stop(JobError::TimedOut(Phase::Queue));
        } else if ticket.time_from_start != NEVER {
            self.keeper.note(ticket.deadline(started), self);
        }
        let context = JobContext::new(job, started);
        let (ran, ended) = context.job.0.run(&context);
        record.end(ended.saturating_sub(started));
        if let Some(share) = &self.share {
            share.leave();
        }
        let job = context.job;
        let unestimated = ran == Ran::Whole && !job.0.ticket().estimated;
        let finished = Finished {
            cost: job.0.ticket().cost(),
            occupied: Duration::from_nanos(ended.saturating_sub(picked)),
            unestimated_run: unestimated.then(|| Duration::from_nanos(ended.saturating_sub(started))),
            whole: ran == Ran::Whole,
        };
        let after = if self.init.is_some() && init::is_lost() {
            self.dispatcher.finish_and_start_again(worker, finished);
            After::StartAgain
        } else {
            After::Next(self.dispatcher.finish(worker, finished))
        };
        job.0.complete();
        // Its caller may be gone meanwhile; then we drop the result, whose destructor is foreign code.
        panic::discard(job);
        after
    }

    /// What thread `worker` records.
    pub(crate) fn record(&self, worker: usize) -> &ThreadRecord {
        self.records[worker].get_or_init(ThreadRecord::new)
    }

    fn records(&self) -> impl Iterator<Item = &ThreadRecord> {
        self.records.iter().filter_map(OnceLock::get)
    }

    /// Spins for some microseconds if that is likely to be of use.
    fn linger(&self, spinner: &Spinner) {
        if self.spin_cores == 0 || !spinner.is_worth_it() {
            return;
        }
        let busy = self.dispatcher.glance_running() + self.spinning.fetch_add(1, Ordering::Relaxed) + 1 + EVENT_LOOP;
        let cores_are_left = busy <= self.spin_cores && !self.share.as_ref().is_some_and(CoreShare::all_taken);
        if cores_are_left {
            spinner.spin(|| !self.dispatcher.looks_empty());
        }
        self.spinning.fetch_sub(1, Ordering::Relaxed);
    }

    /// Looks for the end of a job for some microseconds, if nobody awaits another one and such looks have paid off.
    pub(crate) fn look_for_the_end(&self, is_over: impl Fn() -> bool) -> bool {
        self.spin_cores > EVENT_LOOP
            && self.submissions.load(Ordering::Relaxed) <= 1
            && self.awaiting.is_worth_it()
            && self.awaiting.spin(is_over)
    }

    /// No longer waits for anything: queued jobs are refused, running ones told to stop. Returns how many of each.
    pub(crate) fn give_up(&self) -> (usize, usize) {
        self.dispatcher.close();
        self.given_up.store(true, Ordering::Relaxed);
        let queued = self.refuse(self.dispatcher.take_all(), &JobError::Refused(Refusal::ShuttingDown));
        (queued, self.dispatcher.load().running)
    }

    /// Refuses jobs that were taken once; tells how many were still wanted.
    pub(crate) fn refuse(&self, jobs: Vec<Job>, why: &JobError) -> usize {
        let mut wanted = 0;
        for job in jobs {
            if !job.0.ticket().is_stopped() {
                wanted += 1;
                job.0.clone().stop(why.clone());
            }
            panic::discard(job);
        }
        wanted
    }

    pub(crate) fn wake_draining(&self) {
        let wakers = std::mem::take(&mut *lock(&self.draining));
        for (_, waker) in wakers {
            let _ = panic::catch(|| waker.wake());
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let load = self.dispatcher.load();
        let ended = |end| self.counters.get(end);
        let now = self.keeper.now();
        Metrics {
            threads: load.threads,
            min_threads: self.size.least,
            max_threads: self.size.most,
            failed_starts: load.failed_starts,
            last_failure: load.last_failure.map(|why| why.to_string()),
            queued: load.queued,
            queued_by_priority: load.queued_by_priority,
            queue_limit: self.queue_limit,
            running: load.running,
            completed: ended(End::Completed),
            panicked: ended(End::Panicked),
            timed_out: ended(End::TimedOut),
            cancelled: ended(End::Cancelled),
            refused: ended(End::Refused),
            ran_without_permit: self.share.as_ref().map_or(0, CoreShare::without_permit),
            predicted_wait: self.dispatcher.predicted_wait(None),
            busy: self.records().map(|record| record.busy(now)).sum(),
            lived: load.lived,
            age: self.started.elapsed(),
            wait: Distribution::merged(self.records().map(|record| &record.wait)),
            run: Distribution::merged(self.records().map(|record| &record.run)),
        }
    }
}

impl Watched for Core {
    fn tell_overdue(&self, now: Nanos) -> (Nanos, Duration) {
        let walk = Instant::now();
        let (overdue, mut earliest) = self.dispatcher.overdue(now, |worker| self.record(worker).running_since());
        let walk = walk.elapsed();
        for job in overdue {
            job.0.clone().time_out();
            panic::discard(job);
        }
        // Whoever waits for the end of a drain looks again at its deadline.
        let mut draining = lock(&self.draining);
        let over: Vec<_> = draining.extract_if(.., |(due, _)| *due <= now).collect();
        earliest = draining.iter().fold(earliest, |earliest, (due, _)| earliest.min(*due));
        drop(draining);
        for (_, waker) in over {
            let _ = panic::catch(|| waker.wake());
        }
        (earliest, walk)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.keeper.end();
    }
}
