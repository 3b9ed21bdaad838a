use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use phalanx_thread::{JobError, Phase, Refusal};

use crate::gate::{hold, pool_of, run, until};

#[test]
fn a_result_comes_back_from_another_thread() {
    let pool = pool_of(2);
    let here = std::thread::current().id();
    let there = run(pool.spawn(|_| std::thread::current().id())).unwrap();
    assert_ne!(here, there);
}

#[test]
fn a_panic_is_an_error_with_its_message_and_place_and_the_thread_lives_on() {
    let pool = pool_of(1);
    run(async {
        let number = 7;
        let formatted = pool.spawn(move |_| panic!("no {number}")).await.map(|(): ()| ());
        let Err(JobError::Panicked { message, location: Some(location) }) = formatted else { panic!("{formatted:?}") };
        assert_eq!(message, "no 7");
        assert!(location.contains("outcome.rs:"), "{location}");

        let plain = pool.spawn(|_| panic!("plain")).await.map(|(): ()| ());
        assert!(matches!(plain, Err(JobError::Panicked { message, .. }) if message == "plain"));
        let odd = pool.spawn(|_| panic_any(42_u8)).await.map(|(): ()| ());
        assert!(matches!(odd, Err(JobError::Panicked { message, .. }) if message == "a panic without a text"));
        assert_eq!(pool.spawn(|_| 1).await, Ok(1));
    });
    assert_eq!((pool.metrics().panicked, pool.metrics().completed), (3, 1));
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a destructor");
        }
    }
}

#[test]
fn destructors_that_panic_cost_no_thread() {
    let pool = pool_of(1);
    run(async {
        let payload = pool.spawn(|_| panic_any(Bomb)).await.map(|(): ()| ());
        assert!(matches!(payload, Err(JobError::Panicked { .. })), "{payload:?}");
        // The result of a job that was detached before it ran is dropped by the pool's thread.
        let held = hold(pool.job());
        pool.spawn(|_| Bomb).detach();
        held.finish().await.unwrap();
        let held = hold(pool.job());
        // Captured by jobs that never run: one times out in the queue, one is dropped, one is cancelled.
        let [late, gone, cancelled] = [Bomb, Bomb, Bomb];
        let late = pool.job().deadline_from_submit(Duration::from_millis(1)).spawn(move |_| drop(late));
        assert_eq!(late.await, Err(JobError::TimedOut(Phase::Queue)));
        drop(pool.spawn(move |_| drop(gone)));
        let cancelled = pool.spawn(move |_| drop(cancelled));
        cancelled.cancel();
        held.finish().await.unwrap();
        assert_eq!(pool.spawn(|_| 1).await, Ok(1));
        // And by one that the pool's end finds in the queue, with another behind it.
        let held = hold(pool.job());
        let last = Bomb;
        let queued = (pool.spawn(move |_| drop(last)), pool.spawn(|_| ()));
        drop(pool);
        assert_eq!(queued.0.await, Err(JobError::Refused(Refusal::ShuttingDown)));
        assert_eq!(queued.1.await, Err(JobError::Refused(Refusal::ShuttingDown)));
        held.open();
    });
}

#[test]
fn handles_and_submissions_may_move_to_and_be_shared_by_any_thread() {
    fn sendable<T: Send + Sync>() {}
    sendable::<phalanx_thread::ThreadPool>();
    sendable::<phalanx_thread::Submission<std::cell::Cell<u8>>>();
    sendable::<phalanx_thread::JobContext>();
}

#[test]
fn what_a_dropped_job_captured_is_freed_at_once_and_it_never_runs() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let captured = Arc::new(AtomicBool::new(false));
    let (inside, ran) = (captured.clone(), captured.clone());
    let waiting = pool.spawn(move |_| inside.store(true, Ordering::Relaxed));
    assert_eq!(pool.metrics().queued, 1);
    drop(waiting);
    assert_eq!(Arc::strong_count(&captured), 2, "freed though the only thread is busy");
    assert_eq!((pool.metrics().queued, pool.metrics().cancelled), (0, 1));
    run(held.finish()).unwrap();
    run(pool.spawn(|_| ())).unwrap();
    assert!(!ran.load(Ordering::Relaxed));
}

#[test]
fn a_running_job_sees_that_its_caller_is_gone() {
    let pool = pool_of(1);
    let stopped = Arc::new(AtomicBool::new(false));
    let (runs, running) = std::sync::mpsc::channel();
    let seen = stopped.clone();
    let submission = pool.spawn(move |cx| {
        runs.send(()).unwrap();
        until("cancelled", || cx.is_cancelled());
        seen.store(true, Ordering::Release);
    });
    running.recv().unwrap();
    drop(submission);
    until("the job stopped", || stopped.load(Ordering::Acquire));
    run(pool.spawn(|_| ())).unwrap();
    assert_eq!((pool.metrics().cancelled, pool.metrics().completed), (1, 1));
}

#[test]
fn a_cancelled_submission_is_ready_at_once_whether_queued_or_running() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let queued = pool.spawn(|_| ());
    queued.cancel();
    held.submission.cancel();
    run(async {
        assert_eq!(queued.await, Err(JobError::Cancelled));
        held.open();
        assert_eq!(held.submission.await, Err(JobError::Cancelled));
        assert_eq!(pool.spawn(|_| 5).await, Ok(5));
    });
    assert_eq!((pool.metrics().cancelled, pool.metrics().completed), (2, 1));
}

#[test]
fn a_result_that_was_there_first_survives_a_cancel() {
    let pool = pool_of(1);
    let submission = pool.spawn(|_| 3);
    until("finished", || submission.is_finished());
    submission.cancel();
    assert_eq!(run(submission), Ok(3));
    assert_eq!((pool.metrics().cancelled, pool.metrics().completed), (0, 1));
}

#[test]
fn a_detached_job_runs_without_a_caller() {
    let pool = pool_of(1);
    let ran = Arc::new(AtomicBool::new(false));
    let inside = ran.clone();
    pool.spawn(move |_| inside.store(true, Ordering::Release)).detach();
    until("it ran", || ran.load(Ordering::Acquire));
}

#[test]
fn scratch_is_reused_by_the_same_thread_nests_and_is_thrown_away_by_a_panic() {
    let pool = pool_of(1);
    let count = || {
        pool.spawn(|cx| {
            cx.with_scratch(|outer: &mut u32| {
                *outer += 1;
                assert_eq!(cx.with_scratch(|inner: &mut u32| *inner), 0, "a value is lent once at a time");
                *outer
            })
        })
    };
    run(async {
        // The inner value is put back first and replaced by the outer one.
        assert_eq!((count().await, count().await), (Ok(1), Ok(2)));
        let broken = pool.spawn(|cx| {
            cx.with_scratch(|value: &mut u32| {
                *value = 99;
                panic!("half done");
            })
        });
        let broken: Result<(), _> = broken.await;
        assert!(broken.is_err());
        assert_eq!(count().await, Ok(1));
    });
}

#[test]
fn pool_threads_have_a_lower_priority_than_the_one_that_built_them() {
    let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
    let ours = priority();
    let pool = phalanx_thread::ThreadPool::builder().threads(1).niceness(3).build().unwrap();
    assert_eq!(run(pool.spawn(move |_| priority())).unwrap(), (ours + 3).min(19));
}

#[test]
fn metrics_tell_how_long_jobs_waited_and_ran() {
    let pool = pool_of(1);
    let before = pool.metrics();
    run(async {
        let held = hold(pool.job());
        let waiting = pool.spawn(|_| ());
        until("queued", || pool.metrics().queued == 1);
        assert_eq!(pool.metrics().running, 1);
        held.finish().await.unwrap();
        waiting.await.unwrap();
    });
    let after = pool.metrics();
    assert_eq!((after.wait.count(), after.run.count(), after.completed), (2, 2, 2));
    assert!(after.wait.max() >= after.wait.p50() && after.busy >= after.run.max());
    let utilisation = after.utilisation_since(&before);
    assert!(utilisation > 0.0 && utilisation <= 1.0, "{utilisation}");
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let build = |builder: phalanx_thread::Builder| builder.build().unwrap_err().to_string();
    let builder = phalanx_thread::ThreadPool::builder;
    assert!(build(builder().threads(0)).contains("threads"));
    assert!(build(builder().threads(usize::MAX)).contains("threads"));
    assert!(build(builder().queue_limit(0)).contains("queue_limit"));
    assert!(build(builder().niceness(20)).contains("niceness"));
    assert!(build(builder().name("a\0b")).contains("name"));
}
