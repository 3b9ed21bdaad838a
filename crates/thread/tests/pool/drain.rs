use std::time::Duration;

use phalanx_thread::{JobError, Leftover, Refusal, ThreadPool};

use crate::gate::{GIVE_UP, hold, pool_of, run, until};

const NOTHING: Leftover = Leftover { queued: 0, running: 0 };
const SHUTTING_DOWN: JobError = JobError::Refused(Refusal::ShuttingDown);

#[test]
fn a_drain_finishes_what_was_taken_and_takes_no_more() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let waiting = pool.spawn(|_| 2);
    let drain = pool.drain(GIVE_UP);
    run(async {
        assert_eq!(pool.spawn(|_| 3).await, Err(SHUTTING_DOWN));
        assert_eq!(pool.admit(Duration::ZERO).map(drop), Err(Refusal::ShuttingDown));
        held.open();
        assert_eq!(drain.await, NOTHING);
        assert_eq!(held.submission.await, Ok(false));
        assert_eq!(waiting.await, Ok(2));
        assert_eq!(pool.drain(GIVE_UP).await, NOTHING, "a second drain finds nothing to do");
    });
}

#[test]
fn a_drain_ends_at_its_deadline_and_tells_what_is_left() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let waiting = [pool.spawn(|_| ()), pool.spawn(|_| ())];
    run(async {
        assert_eq!(pool.drain(Duration::from_millis(10)).await, Leftover { queued: 2, running: 1 });
        for job in waiting {
            assert_eq!(job.await, Err(SHUTTING_DOWN));
        }
        // The running one was told to stop; what it returns now is no result.
        assert_eq!(held.finish().await, Err(JobError::Cancelled));
    });
}

#[test]
fn a_blocking_drain_does_the_same() {
    let pool = pool_of(2);
    let result = pool.spawn(|_| 1);
    assert_eq!(pool.drain_blocking(GIVE_UP), NOTHING);
    assert_eq!(run(result), Ok(1));

    let pool = pool_of(1);
    let held = hold(pool.job());
    let waiting = pool.spawn(|_| ());
    assert_eq!(pool.drain_blocking(Duration::from_millis(5)), Leftover { queued: 1, running: 1 });
    assert_eq!(run(waiting), Err(SHUTTING_DOWN));
    held.open();
}

#[test]
fn dropping_the_pool_waits_for_nobody_and_every_submission_still_ends() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let waiting = pool.spawn(|_| ());
    drop(pool);
    run(async {
        assert_eq!(waiting.await, Err(SHUTTING_DOWN));
        assert_eq!(held.finish().await, Err(JobError::Cancelled), "it was told to stop");
    });
}

#[test]
fn a_job_may_hold_the_last_handle_of_its_own_pool() {
    let pool = pool_of(1);
    let inside = pool.clone();
    let job = pool.spawn(move |_| drop(inside));
    drop(pool);
    // Either it ran in time, or it was refused or stopped; in no case does anything hang.
    let _ = run(job);
}

#[test]
fn the_threads_of_a_pool_end_with_it() {
    let names = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect::<Vec<_>>()
    };
    let ours = |name: &String| name.starts_with("end-test");
    let pool = ThreadPool::builder().name("end-test").threads(3).build().unwrap();
    run(pool.job().deadline_from_submit(GIVE_UP).spawn(|_| ())).unwrap();
    until("all started", || names().iter().filter(|name| ours(name)).count() == 4);
    drop(pool);
    until("all ended, the keeper of deadlines too", || !names().iter().any(ours));
}
