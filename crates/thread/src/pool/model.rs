//! The dispatcher under every interleaving of a few threads (loom): a lost wake-up is a deadlock, which loom reports.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p phalanx-thread --release --lib loom`

use std::time::Duration;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread;

use crate::pool::dispatcher::Dispatcher;
use crate::pool::lanes::{Entry, Place};
use crate::pool::pace::Finished;
use crate::pool::standing::Standing;

#[derive(Clone)]
struct Job(std::sync::Arc<(usize, Place)>);

impl Job {
    fn new(name: usize) -> Job {
        Job(std::sync::Arc::new((name, Place::default())))
    }
}

impl Entry for Job {
    fn cost(&self) -> u64 {
        1
    }

    fn set_cost(&self, _nanos: u64) {}

    fn place(&self) -> &Place {
        &self.0.1
    }
}

/// Runs what comes until the pool is closed; counts each job by its name.
fn work(dispatcher: &Dispatcher<Job>, worker: usize, runs: &[AtomicUsize], linger: impl Fn(&Dispatcher<Job>)) {
    let mut following = None;
    while let Some(job) = following.take().or_else(|| dispatcher.next(worker, &linger)) {
        runs[job.0.0].fetch_add(1, Ordering::Relaxed);
        let finished = Finished { cost: 1, occupied: Duration::ZERO, unestimated_run: None, whole: true };
        following = dispatcher.finish(finished);
    }
}

/// `threads` threads, jobs submitted one by one by the main thread; then the doors close.
fn every_job_runs_once(threads: usize, jobs: usize, linger: impl Fn(&Dispatcher<Job>) + Copy + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let dispatcher = Arc::new(Dispatcher::new(threads, threads, jobs, Standing::new(Duration::MAX, Duration::MAX)));
        let runs: Arc<Vec<_>> = Arc::new((0..jobs).map(|_| AtomicUsize::new(0)).collect());
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (dispatcher, runs) = (dispatcher.clone(), runs.clone());
                thread::spawn(move || work(&dispatcher, worker, &runs, linger))
            })
            .collect();
        for name in 0..jobs {
            dispatcher.push(&Job::new(name), None).expect("there is room");
        }
        dispatcher.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "each job runs once");
    });
}

#[test]
fn loom_one_thread_misses_no_job() {
    every_job_runs_once(1, 3, |_| {});
}

#[test]
fn loom_two_threads_miss_no_job() {
    every_job_runs_once(2, 2, |_| {});
}

#[test]
fn loom_a_thread_that_glances_before_it_sleeps_misses_no_job() {
    every_job_runs_once(2, 2, |dispatcher| {
        let _ = dispatcher.looks_empty();
    });
}

/// The doors stay open until the jobs have run, so nothing but `push` and the other thread can wake a sleeper.
#[test]
fn loom_sleepers_are_woken_by_jobs_alone() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        const JOBS: u64 = 2;
        let dispatcher = Arc::new(Dispatcher::new(2, 2, 8, Standing::new(Duration::MAX, Duration::MAX)));
        let done = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (dispatcher, done) = (dispatcher.clone(), done.clone());
                thread::spawn(move || {
                    let mut following = None;
                    while let Some(_job) = following.take().or_else(|| dispatcher.next(worker, |_| {})) {
                        let finished =
                            Finished { cost: 1, occupied: Duration::ZERO, unestimated_run: None, whole: true };
                        following = dispatcher.finish(finished);
                        if done.fetch_add(1, Ordering::AcqRel) + 1 == JOBS {
                            dispatcher.close();
                        }
                    }
                })
            })
            .collect();
        (0..JOBS as usize).for_each(|name| dispatcher.push(&Job::new(name), None).expect("there is room"));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// Two jobs that wait for each other need two threads: a thread that takes one must wake another for the second.
#[test]
fn loom_jobs_that_wait_for_each_other_get_a_thread_each() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let dispatcher = Arc::new(Dispatcher::new(2, 2, 8, Standing::new(Duration::MAX, Duration::MAX)));
        let met = Arc::new((loom::sync::Mutex::new(0), loom::sync::Condvar::new()));
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (dispatcher, met) = (dispatcher.clone(), met.clone());
                thread::spawn(move || {
                    let _job = dispatcher.next(worker, |_| {}).expect("a job");
                    let mut here = met.0.lock().unwrap();
                    *here += 1;
                    met.1.notify_all();
                    while *here < 2 {
                        here = met.1.wait(here).unwrap();
                    }
                })
            })
            .collect();
        (0..2).for_each(|name| dispatcher.push(&Job::new(name), None).expect("there is room"));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}
