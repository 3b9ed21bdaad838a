use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phalanx_thread::{JobError, Phase};

use crate::gate::{GIVE_UP, hold, pool_of, run, until};

const SOON: Duration = Duration::from_millis(15);

#[test]
fn a_deadline_that_passes_in_the_queue_is_heard_at_once_though_every_thread_is_stuck() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let ran = Arc::new(AtomicBool::new(false));
    let inside = ran.clone();
    let late = pool.job().deadline_from_submit(SOON).spawn(move |_| inside.store(true, Ordering::Relaxed));
    run(async {
        assert_eq!(late.await, Err(JobError::TimedOut(Phase::Queue)));
        assert_eq!(Arc::strong_count(&ran), 1, "what it captured is freed");
        held.finish().await.unwrap();
        pool.spawn(|_| ()).await.unwrap();
    });
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!((pool.metrics().timed_out, pool.metrics().queued), (1, 0));
}

#[test]
fn a_deadline_really_ends_a_loop_that_asks() {
    let pool = pool_of(1);
    let endless = |cx: &phalanx_thread::JobContext| {
        assert!(cx.deadline().is_some());
        until("told to stop", || cx.is_cancelled());
    };
    run(async {
        let from_start = pool.job().deadline_from_start(SOON).spawn(endless);
        assert_eq!(from_start.await, Err(JobError::TimedOut(Phase::Run)));
        let from_submit = pool.job().deadline_from_submit(SOON).spawn(endless);
        assert_eq!(from_submit.await, Err(JobError::TimedOut(Phase::Run)));
        assert_eq!(pool.spawn(|_| 1).await, Ok(1), "the thread is free again");
    });
    assert_eq!(pool.metrics().timed_out, 2);
}

#[test]
fn the_caller_of_a_job_that_never_asks_is_told_in_time_too() {
    let pool = pool_of(1);
    let mut held = hold(pool.job().deadline_from_start(SOON));
    run(async {
        assert_eq!((&mut held.submission).await, Err(JobError::TimedOut(Phase::Run)));
        assert_eq!(pool.metrics().running, 1, "the thread is still its");
        held.open();
        pool.spawn(|_| ()).await.unwrap();
    });
}

#[test]
fn time_in_the_queue_does_not_count_from_start() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let patient = pool.job().deadline_from_start(GIVE_UP).spawn(|cx| cx.is_cancelled());
    let stuck = pool.job().deadline_from_submit(SOON).spawn(|_| ());
    run(async {
        assert_eq!(stuck.await, Err(JobError::TimedOut(Phase::Queue)), "so long we waited");
        held.finish().await.unwrap();
        assert_eq!(patient.await, Ok(false));
    });
}

#[test]
fn jobs_in_time_are_not_disturbed_by_their_deadlines() {
    let pool = pool_of(2);
    run(async {
        for _ in 0..500 {
            let job = pool.job().deadline_from_submit(GIVE_UP).deadline_from_start(GIVE_UP);
            assert_eq!(job.spawn(|cx| cx.is_cancelled()).await, Ok(false));
        }
    });
    assert_eq!((pool.metrics().completed, pool.metrics().timed_out), (500, 0));
}

#[test]
fn a_time_beyond_the_end_of_the_clock_is_no_deadline() {
    let pool = pool_of(1);
    let job = pool.job().deadline_from_submit(Duration::MAX).deadline_from_start(Duration::MAX).cost(Duration::MAX);
    assert_eq!(run(job.spawn(|cx| cx.deadline())), Ok(None));
}

#[test]
fn thousands_of_deadlines_of_all_lengths_are_told_while_every_thread_is_stuck() {
    const JOBS: u64 = 3_000;
    let builder = phalanx_thread::ThreadPool::builder().threads(1).queue_limit(2 * JOBS as usize);
    let pool = builder.max_wait(Duration::from_secs(1000)).standing_wait(Duration::from_secs(1000)).build().unwrap();
    let held = hold(pool.job());
    let jobs: Vec<_> = (0..JOBS)
        .map(|number| {
            let patient = pool.job().deadline_from_submit(GIVE_UP).deadline_from_start(GIVE_UP).spawn(|_| ());
            // Also such as are over before they are in the queue, and shorter ones after longer ones.
            let time = Duration::from_micros(number * 7919 % 40_000);
            (pool.job().deadline_from_submit(time).spawn(|_| ()), patient)
        })
        .collect();
    run(async {
        let mut patient = Vec::new();
        for (job, other) in jobs {
            assert_eq!(job.await, Err(JobError::TimedOut(Phase::Queue)));
            patient.push(other);
        }
        held.finish().await.unwrap();
        for job in patient {
            assert_eq!(job.await, Ok(()));
        }
    });
    assert_eq!((pool.metrics().timed_out, pool.metrics().completed), (JOBS, JOBS + 1));
}
