use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use phalanx_thread::{JobError, ThreadPool};

use crate::gate::{pool_of, run, until};

/// Many callers, some of them impatient: each job runs at most once, each submission ends, each is counted once.
#[test]
fn nothing_is_lost_and_nothing_runs_twice() {
    const CALLERS: u32 = 4;
    const JOBS: u32 = 3_000;
    let pool = ThreadPool::builder().threads(3).queue_limit(64).build().unwrap();
    let [completed, panicked, cancelled, refused, timed_out] = [(); 5].map(|()| AtomicU32::new(0));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let pool = &pool;
            let (completed, panicked, cancelled, refused, timed_out) =
                (&completed, &panicked, &cancelled, &refused, &timed_out);
            scope.spawn(move || {
                run(async {
                    let mut kept = Vec::new();
                    for number in 0..JOBS {
                        let runs = Arc::new(AtomicU32::new(0));
                        let inside = runs.clone();
                        let mut job = pool.job();
                        if number % 3 == 0 {
                            job = job.cost(Duration::from_millis(u64::from(number % 10)));
                        }
                        if number % 5 == 0 {
                            job = job.deadline_from_submit(Duration::from_micros(u64::from(number % 7) * 50));
                        }
                        let submission = job.spawn(move |_| {
                            inside.fetch_add(1, Ordering::Relaxed);
                            assert!(number % 11 != 0, "a panic now and then");
                        });
                        match (number + caller) % 4 {
                            0 => submission.cancel(),
                            1 => {
                                kept.push((submission, runs));
                                continue;
                            }
                            _ => {}
                        }
                        tell(submission.await, &runs, completed, panicked, cancelled, refused, timed_out);
                    }
                    for (submission, runs) in kept {
                        tell(submission.await, &runs, completed, panicked, cancelled, refused, timed_out);
                    }
                });
            });
        }
    });
    until("idle", || pool.metrics().running == 0 && pool.metrics().queued == 0);
    let metrics = pool.metrics();
    let told = [completed, panicked, cancelled, refused, timed_out].map(|count| u64::from(count.into_inner()));
    let counted = [metrics.completed, metrics.panicked, metrics.cancelled, metrics.refused, metrics.timed_out];
    assert_eq!(told, counted);
    assert_eq!(told.iter().sum::<u64>(), u64::from(CALLERS * JOBS));
    assert!(told[0] > 0 && told[1] > 0 && told[2] > 0, "{told:?}");
}

fn tell(
    result: Result<(), JobError>,
    runs: &AtomicU32,
    completed: &AtomicU32,
    panicked: &AtomicU32,
    cancelled: &AtomicU32,
    refused: &AtomicU32,
    timed_out: &AtomicU32,
) {
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs <= 1, "ran {runs} times");
    let count = match result {
        Ok(()) => {
            assert_eq!(runs, 1);
            completed
        }
        Err(JobError::Panicked { .. }) => panicked,
        Err(JobError::Cancelled) => cancelled,
        Err(JobError::Refused(_)) => {
            assert_eq!(runs, 0);
            refused
        }
        Err(JobError::TimedOut(_)) => timed_out,
        Err(other) => panic!("{other}"),
    };
    count.fetch_add(1, Ordering::Relaxed);
}

/// A lost wake-up shows as a hang: each job is submitted at another moment of the thread's way to sleep.
#[test]
fn a_job_that_comes_while_a_thread_falls_asleep_wakes_it() {
    let pool = pool_of(2);
    run(async {
        for round in 0..20_000_u32 {
            for _ in 0..round % 257 {
                std::hint::spin_loop();
            }
            assert_eq!(pool.spawn(move |_| round).await, Ok(round));
        }
    });
}

#[test]
fn abandoned_jobs_behind_a_stuck_thread_do_not_pile_up() {
    let pool = ThreadPool::builder().threads(1).queue_limit(8).build().unwrap();
    let held = crate::gate::hold(pool.job());
    for _ in 0..10_000 {
        drop(pool.spawn(|_| ()));
    }
    assert_eq!((pool.metrics().cancelled, pool.metrics().refused, pool.metrics().queued), (10_000, 0, 0));
    run(held.finish()).unwrap();
}
