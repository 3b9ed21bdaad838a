use std::sync::{Arc, Mutex};
use std::time::Duration;

use phalanx_thread::{JobError, Refusal, ThreadPool};

use crate::gate::{hold, pool_of, run};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_full_queue_refuses_at_once_and_takes_again_when_there_is_room() {
    let pool = ThreadPool::builder().threads(1).queue_limit(2).build().unwrap();
    let held = hold(pool.job());
    let waiting = [pool.spawn(|_| 1), pool.spawn(|_| 2)];
    let full = Refusal::Full { queued: 2, limit: 2 };
    run(async {
        assert_eq!(pool.spawn(|_| 3).await, Err(JobError::Refused(full)));
        assert_eq!(pool.admit(Duration::ZERO).map(drop), Err(full));
        let [first, second] = waiting;
        drop(first);
        assert_eq!(pool.admit(Duration::ZERO).map(drop), Ok(()), "a cancelled job makes room at once");
        held.finish().await.unwrap();
        assert_eq!(second.await, Ok(2));
        assert_eq!(pool.spawn(|_| 4).await, Ok(4));
    });
    assert_eq!(pool.metrics().refused, 1);
}

#[test]
fn a_job_that_would_wait_too_long_is_refused_with_a_time_to_come_back() {
    let pool = ThreadPool::builder().threads(1).max_wait(SECOND).build().unwrap();
    let held = hold(pool.job().cost(Duration::ZERO));
    assert_eq!(pool.predicted_wait(), Duration::ZERO);
    // At the speed that a pool starts with, one second of work per second and thread.
    let _waiting = pool.job().cost(SECOND * 3).spawn(|_| ());
    assert_eq!(pool.predicted_wait(), SECOND * 3);
    let refused = run(pool.job().cost(SECOND).spawn(|_| ())).unwrap_err();
    let expected = Refusal::TooLongWait { predicted: SECOND * 3, limit: SECOND, retry_after: SECOND * 5 / 2 };
    assert_eq!(refused, JobError::Refused(expected));
    assert_eq!(pool.admit(SECOND).map(drop), Err(expected));
    // Cheap jobs have a lane of their own.
    assert_eq!(pool.admit(Duration::from_millis(1)).map(drop), Ok(()));
    held.open();
}

#[test]
fn a_free_thread_takes_a_job_however_dear() {
    let pool = ThreadPool::builder().threads(1).max_wait(Duration::ZERO).build().unwrap();
    run(async {
        // Each is submitted the moment the one before is done: the thread must count as free by then.
        for _ in 0..300 {
            assert_eq!(pool.job().cost(SECOND * 60).spawn(|_| ()).await, Ok(()));
        }
    });
    assert_eq!(pool.metrics().refused, 0);
}

#[test]
fn running_work_counts_half_for_those_who_wait() {
    let pool = ThreadPool::builder().threads(1).max_wait(SECOND).build().unwrap();
    let held = hold(pool.job().cost(SECOND * 4));
    assert_eq!(pool.predicted_wait(), SECOND * 2);
    assert!(matches!(pool.admit(SECOND).map(drop), Err(Refusal::TooLongWait { .. })));
    run(held.finish()).unwrap();
    assert_eq!(pool.admit(SECOND).map(drop), Ok(()));
}

#[test]
fn cheap_jobs_overtake_heavy_ones_and_heavy_ones_still_get_their_turn() {
    let pool = ThreadPool::builder().threads(1).max_wait(SECOND * 1000).build().unwrap();
    let held = hold(pool.job());
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit = |name: &'static str, cost: u64| {
        let order = order.clone();
        pool.job().cost(Duration::from_millis(cost)).spawn(move |_| order.lock().unwrap().push(name))
    };
    let mut jobs: Vec<_> = (0..2).map(|_| submit("heavy", 100)).collect();
    jobs.extend((0..10).map(|_| submit("cheap", 1)));
    run(async {
        held.finish().await.unwrap();
        for job in jobs {
            job.await.unwrap();
        }
    });
    let order = order.lock().unwrap();
    let heavy: Vec<_> =
        order.iter().enumerate().filter(|(_, name)| **name == "heavy").map(|(place, _)| place).collect();
    assert_eq!(heavy, [8, 11]);
}

#[test]
fn every_free_thread_is_woken_for_its_own_job() {
    // Jobs that wait for each other end only if each has a thread.
    const THREADS: usize = 4;
    let pool = pool_of(THREADS);
    for _ in 0..50 {
        let meeting = Arc::new(std::sync::Barrier::new(THREADS));
        let jobs: Vec<_> = (0..THREADS)
            .map(|_| {
                let meeting = meeting.clone();
                pool.job().cost(Duration::ZERO).spawn(move |_| meeting.wait().is_leader())
            })
            .collect();
        run(async {
            let mut leaders = 0;
            for job in jobs {
                leaders += usize::from(job.await.unwrap());
            }
            assert_eq!(leaders, 1);
        });
    }
}
