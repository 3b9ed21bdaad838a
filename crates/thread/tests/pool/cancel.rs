use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use phalanx_thread::{Cancellation, JobError, ThreadPool};

use crate::gate::{hold, pool_of, run, until};

#[test]
fn one_word_ends_all_its_jobs_and_no_others() {
    let pool = pool_of(1);
    let gone = Cancellation::new();
    let running = hold(pool.job().cancelled_by(&gone));
    let ran = Arc::new(AtomicU32::new(0));
    let inside = ran.clone();
    pool.job().cancelled_by(&gone).spawn(move |_| inside.fetch_add(1, Ordering::Relaxed)).detach();
    let waiting = pool.job().cancelled_by(&gone.clone()).spawn(|_| 1);
    let other = pool.spawn(|_| 2);
    gone.cancel();
    run(async {
        assert_eq!(waiting.await, Err(JobError::Cancelled));
        assert_eq!(Arc::strong_count(&ran), 1, "also a detached one is freed at once");
        running.open();
        assert_eq!(running.submission.await, Err(JobError::Cancelled));
        assert_eq!(other.await, Ok(2));
        let late = pool.job().cancelled_by(&gone).spawn(|_| 3);
        assert_eq!(late.await, Err(JobError::Cancelled), "said once, said for ever");
    });
    assert_eq!((ran.load(Ordering::Relaxed), pool.metrics().cancelled, gone.is_cancelled()), (0, 4, true));
}

#[test]
fn a_job_that_is_cancelled_never_begins_after_that() {
    const JOBS: u32 = 10_000;
    let long = std::time::Duration::from_secs(1000);
    let builder = ThreadPool::builder().threads(3).queue_limit(JOBS as usize).max_wait(long).standing_wait(long);
    let pool = builder.build().unwrap();
    for _ in 0..3 {
        let storm = Cancellation::new();
        let begun = Arc::new(AtomicU32::new(0));
        let job = || {
            let (storm, begun) = (storm.clone(), begun.clone());
            move |_: &phalanx_thread::JobContext| {
                // What began before the word may see it at any later moment.
                let begun = begun.fetch_add(1, Ordering::Relaxed);
                if storm.is_cancelled() { u32::MAX } else { begun }
            }
        };
        let jobs = pool.job().cancelled_by(&storm).spawn_many((0..JOBS).map(|_| job()));
        std::thread::scope(|scope| {
            scope.spawn(|| storm.cancel());
            scope.spawn(|| storm.cancel());
        });
        let after_the_word = begun.load(Ordering::Relaxed);
        run(async {
            let mut completed = 0;
            for job in jobs {
                match job.await {
                    Ok(_) => completed += 1,
                    Err(error) => assert_eq!(error, JobError::Cancelled),
                }
            }
            // Three threads may have been on their way into a job.
            assert!(begun.load(Ordering::Relaxed) <= after_the_word + 3);
            assert!(completed <= begun.load(Ordering::Relaxed));
        });
    }
    until("idle", || pool.metrics().running == 0);
    let metrics = pool.metrics();
    assert_eq!((metrics.completed + metrics.cancelled, metrics.queued), (u64::from(JOBS) * 3, 0));
}

#[test]
fn a_cancellation_that_lives_long_forgets_the_jobs_that_are_over() {
    let pool = pool_of(1);
    let service = Cancellation::new();
    run(async {
        for number in 0..5_000 {
            assert_eq!(pool.job().cancelled_by(&service).spawn(move |_| number).await, Ok(number));
        }
    });
    assert!(!service.is_cancelled());
}
