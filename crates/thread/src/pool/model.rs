//! The dispatcher under every interleaving of a few threads (loom): a lost wake-up is a deadlock, which loom reports.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p phalanx-thread --release --lib loom`

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::line::{Finished, Key, LineOptions, NEVER, Nanos, Priority};
use crate::pool::dispatcher::Dispatcher;
use crate::pool::entry::Entry;
use crate::pool::staff::Size;
use crate::pool::state::Call;
use crate::sync::checked::Bed;

#[derive(Clone)]
struct Job(Arc<(usize, AtomicU64)>);

impl Job {
    fn new(name: usize) -> Job {
        Job(Arc::new((name, AtomicU64::new(0))))
    }
}

impl Entry for Job {
    /// Each of another level.
    fn priority(&self) -> Priority {
        Priority::new(self.0.0 as u8)
    }

    fn due_in_queue(&self) -> Nanos {
        NEVER
    }

    fn due_on_thread(&self, _started: Option<Nanos>) -> Nanos {
        NEVER
    }

    fn has_deadline(&self) -> bool {
        true
    }

    fn stands_at(&self, key: Key, _cost: u64) {
        self.0.1.store(key.to_bits(), Ordering::Relaxed);
    }

    fn key(&self) -> Key {
        Key::from_bits(self.0.1.load(Ordering::Relaxed))
    }

    fn is(&self, other: &Job) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

const FINISHED: Finished = Finished { cost: 1, occupied: Duration::ZERO, unestimated_run: None, whole: true };

/// A pool whose jobs count how often each ran; the last of them closes the doors, if it is told so.
struct Pool {
    dispatcher: Dispatcher<Job>,
    runs: Vec<AtomicUsize>,
    ran: AtomicUsize,
    closes_itself: bool,
    /// Jobs meet in groups of this size, in the order in which they begin: none of a group ends before all have begun.
    meeting: usize,
    met: (loom::sync::Mutex<usize>, loom::sync::Condvar),
}

/// Threads, all of which are joined at the end of an execution.
type Threads = Arc<loom::sync::Mutex<Vec<thread::JoinHandle<()>>>>;

impl Pool {
    fn new(size: Size, jobs: usize, closes_itself: bool, meeting: usize) -> Arc<Pool> {
        let line = LineOptions {
            servers: size.most,
            cores: size.most,
            limit: jobs,
            max_wait: Duration::MAX,
            standing_wait: Duration::MAX,
        };
        Arc::new(Pool {
            dispatcher: Dispatcher::new(size, line),
            runs: (0..jobs).map(|_| AtomicUsize::new(0)).collect(),
            ran: AtomicUsize::new(0),
            closes_itself,
            meeting,
            met: (loom::sync::Mutex::new(0), loom::sync::Condvar::new()),
        })
    }

    fn submit(self: &Arc<Pool>, name: usize, threads: &Threads) {
        let call = self.dispatcher.push(&Job::new(name), None, Instant::now());
        self.answer(call.expect("there is room"), threads);
    }

    fn answer(self: &Arc<Pool>, call: Call, threads: &Threads) {
        match call {
            Call::Nobody => {}
            Call::Wake(bed) => bed.wake(),
            Call::Start(worker) => self.start(worker, threads),
        }
    }

    fn start(self: &Arc<Pool>, worker: usize, threads: &Threads) {
        let (pool, all) = (self.clone(), threads.clone());
        let started = thread::spawn(move || pool.work(worker, &all));
        threads.lock().unwrap().push(started);
    }

    fn meet(&self) {
        if self.meeting < 2 {
            return;
        }
        let mut begun = self.met.0.lock().unwrap();
        let group_is_complete = (*begun / self.meeting + 1) * self.meeting;
        *begun += 1;
        self.met.1.notify_all();
        while *begun < group_is_complete {
            begun = self.met.1.wait(begun).unwrap();
        }
    }

    fn work(self: &Arc<Pool>, worker: usize, threads: &Threads) {
        let bed = Arc::new(Bed::new());
        self.dispatcher.is_ready();
        let mut following = None;
        loop {
            let job = following.take().or_else(|| {
                let (job, call) = self.dispatcher.next(worker, &bed, |dispatcher| drop(dispatcher.looks_empty()))?;
                self.answer(call, threads);
                Some(job)
            });
            let Some(job) = job else { return self.answer(self.dispatcher.has_ended(worker), threads) };
            self.runs[job.0.0].fetch_add(1, Ordering::Relaxed);
            self.meet();
            following = self.dispatcher.finish(worker, FINISHED);
            if self.ran.fetch_add(1, Ordering::AcqRel) + 1 == self.runs.len() && self.closes_itself {
                self.dispatcher.close();
            }
        }
    }
}

fn join_all(threads: &Threads) {
    loop {
        let next = threads.lock().unwrap().pop();
        let Some(thread) = next else { return };
        thread.join().unwrap();
    }
}

/// Jobs submitted one by one by the main thread. Either it closes the doors then, or the last job does, so that nothing
/// but `push` and the other threads can wake a sleeper.
fn every_job_runs_once(size: Size, jobs: usize, closes_itself: bool, meeting: usize, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        let pool = Pool::new(size, jobs, closes_itself, meeting);
        let threads = Threads::default();
        for _ in 0..size.least {
            let worker = pool.dispatcher.hire().expect("one of the least number");
            pool.start(worker, &threads);
        }
        (0..jobs).for_each(|name| pool.submit(name, &threads));
        if !closes_itself {
            pool.dispatcher.close();
        }
        join_all(&threads);
        assert!(pool.runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1), "each job runs once");
        assert_eq!(pool.dispatcher.alive(), 0);
    });
}

/// In the model the first sleep of a thread is over at once: any moment may be the one at which it finds itself one too
/// many.
fn elastic(least: usize, most: usize) -> Size {
    Size { least, most, idle_timeout: Duration::ZERO }
}

#[test]
fn loom_one_thread_misses_no_job() {
    every_job_runs_once(Size::fixed(1), 3, false, 0, 3);
}

#[test]
fn loom_two_threads_miss_no_job() {
    every_job_runs_once(Size::fixed(2), 2, false, 0, 3);
}

#[test]
fn loom_sleepers_are_woken_by_jobs_alone() {
    every_job_runs_once(Size::fixed(2), 2, true, 0, 3);
}

#[test]
fn loom_a_pool_that_grows_and_shrinks_misses_no_job() {
    every_job_runs_once(elastic(1, 2), 2, true, 0, 3);
}

/// Two jobs that wait for each other need two threads: a thread that takes one must call another for the second.
#[test]
fn loom_jobs_that_wait_for_each_other_get_a_thread_each() {
    every_job_runs_once(Size::fixed(2), 2, true, 2, 2);
}

#[test]
fn loom_a_pool_grows_for_jobs_that_wait_for_each_other() {
    every_job_runs_once(elastic(1, 2), 2, true, 2, 2);
}

/// One that finds itself one too many at the moment when jobs come for it, or is about to end while they come.
#[test]
fn loom_a_thread_that_gives_up_leaves_no_job_behind() {
    every_job_runs_once(elastic(1, 2), 4, true, 2, 2);
}
