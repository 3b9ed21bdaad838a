use std::sync::{Arc, Barrier};

use phalanx_thread::{JobContext, JobError, Refusal, ThreadPool};

use crate::gate::{hold, pool_of, run};

#[test]
fn many_jobs_are_submitted_at_once_and_each_has_its_own_result() {
    let pool = pool_of(2);
    let jobs = pool.spawn_many((0..500_u32).map(|number| {
        move |_: &JobContext| {
            assert!(number != 250, "expected");
            number
        }
    }));
    run(async {
        for (number, job) in (0..).zip(jobs) {
            match job.await {
                Ok(result) => assert_eq!(result, number),
                Err(error) => assert!(number == 250 && matches!(error, JobError::Panicked { .. })),
            }
        }
    });
    assert!(pool.spawn_many(std::iter::empty::<fn(&JobContext)>()).is_empty());
}

#[test]
fn what_does_not_fit_is_refused_job_by_job_and_the_rest_runs() {
    let pool = ThreadPool::builder().threads(1).queue_limit(3).build().unwrap();
    let held = hold(pool.job());
    let jobs = pool.spawn_many((0..5).map(|number| move |_: &JobContext| number));
    run(async {
        held.finish().await.unwrap();
        let mut results = Vec::new();
        for job in jobs {
            results.push(job.await);
        }
        let full = Err(JobError::Refused(Refusal::Full { queued: 3, limit: 3 }));
        assert_eq!(results, [Ok(0), Ok(1), Ok(2), full.clone(), full]);
    });
    assert_eq!(pool.metrics().refused, 2);
}

#[test]
fn as_many_threads_are_called_as_are_needed() {
    // Jobs that wait for each other end only if each has a thread; some sleep, others are still to be started.
    const JOBS: usize = 4;
    let pool = ThreadPool::builder().min_threads(2).max_threads(JOBS).build().unwrap();
    for _ in 0..20 {
        let meeting = Arc::new(Barrier::new(JOBS));
        let jobs = pool.spawn_many((0..JOBS).map(|_| {
            let meeting = meeting.clone();
            move |_: &JobContext| meeting.wait().is_leader()
        }));
        run(async {
            let mut leaders = 0;
            for job in jobs {
                leaders += usize::from(job.await.unwrap());
            }
            assert_eq!(leaders, 1);
        });
    }
}
