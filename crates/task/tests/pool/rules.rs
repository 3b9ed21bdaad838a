//! Who is let in, and what is counted.

use std::time::Duration;

use phalanx_shared::{Generation, Owner, Permits, SlotIndex};
use phalanx_task::{Blob, Executor, ProcessPool, Refusal, SandboxPolicy, SubmitOptions, TaskError};

use crate::Test;
use crate::jobs::{Crash, Echo, Panics, Sleep, Sum, WaitsInside};
use crate::tools::{pool, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("one more than may wait is refused", full),
    ("a running process holds a permit and gives it back", permits),
    ("a task runs without a permit when none comes free", without_permit),
    ("a task that blocks needs no permit meanwhile", blocking),
    ("a spare process of another sandbox level gives way once", gives_way),
    ("a second task of the same key is refused until the first has ended", keys),
    ("an input that is too large is refused", input_too_big),
    ("an output that is too large is an error", output_too_big),
    ("every end is counted once", metrics),
    ("what was let in counts as waiting", admission),
    ("a pool that is busy for long lets nobody in", too_long_wait),
];

fn full() {
    let pool = ProcessPool::builder().processes(1).queue_limit(2).build().unwrap();
    let _runs = pool.submit(Sleep(60_000));
    until("it runs", || pool.metrics().running == 1);
    let _waits = [pool.submit(Sleep(1)), pool.submit(Sleep(1))];
    assert_eq!(wait(pool.submit(Sleep(1))), Err(TaskError::Refused(Refusal::Full { queued: 2, limit: 2 })));
}

fn permits() {
    let permits = Permits::create(2).unwrap();
    let owner = Owner::new(SlotIndex(1), Generation(1));
    let pool = ProcessPool::builder()
        .processes(2)
        .sandbox(SandboxPolicy::Off)
        .permits(permits.clone(), owner)
        .build()
        .unwrap();
    assert_eq!(permits.in_use(), 0);
    let runs = [pool.submit(Sleep(500)), pool.submit(Sleep(500))];
    until("both run", || permits.held_by(owner) == 2);
    for submission in runs {
        wait(submission).unwrap();
    }
    assert_eq!(permits.in_use(), 0);
    assert_eq!(pool.metrics().ran_without_permit, 0);
}

fn without_permit() {
    let permits = Permits::create(1).unwrap();
    let _taken = permits.try_acquire(Owner::new(SlotIndex(9), Generation(1))).unwrap();
    let owner = Owner::new(SlotIndex(1), Generation(1));
    let pool = ProcessPool::builder()
        .processes(2)
        .sandbox(SandboxPolicy::Off)
        .permits(permits.clone(), owner)
        .build()
        .unwrap();
    let _long = pool.submit(Sleep(60_000));
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok(), "one runs always, a second one after its patience");
    assert_eq!(pool.metrics().ran_without_permit, 1);
}

fn blocking() {
    let permits = Permits::create(1).unwrap();
    let owner = Owner::new(SlotIndex(1), Generation(1));
    let pool = ProcessPool::builder()
        .processes(2)
        .sandbox(SandboxPolicy::Off)
        .permits(permits.clone(), owner)
        .build()
        .unwrap();
    let long = pool.submit(WaitsInside(60_000));
    until("it blocks", || pool.metrics().running == 1 && permits.in_use() == 0);
    for _ in 0..10 {
        assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    }
    assert_eq!(pool.metrics().ran_without_permit, 0);
    drop(long);
    until("it was killed", || pool.metrics().killed == 1);
    assert_eq!(wait(pool.submit(WaitsInside(1))), Ok(1));
    until("all permits are back", || permits.in_use() == 0);
}

fn gives_way() {
    // One of each level is there at first; both are needed for the strictest.
    let pool = pool(2);
    let _long = pool.submit(Sleep(60_000));
    until("it runs", || pool.metrics().running == 1);
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    let started = pool.metrics().started;
    assert!(started <= 4, "{started} processes for two tasks");
}

fn keys() {
    let pool = pool(1);
    let once = || SubmitOptions::new().idempotency_key("this very piece");
    let first = pool.submit_with(Sleep(60_000), once());
    assert_eq!(wait(pool.submit_with(Sleep(1), once())), Err(TaskError::Refused(Refusal::Duplicate)));
    drop(first);
    until("the first has ended", || wait(pool.submit_with(Sleep(1), once())).is_ok());
    assert!(wait(pool.submit_with(Sleep(1), once())).is_ok(), "it may be had again once it has ended");
}

fn input_too_big() {
    let pool = ProcessPool::builder().processes(1).max_input(10_000).build().unwrap();
    assert!(wait(pool.submit(Echo(Blob::from(vec![1; 9_000])))).is_ok());
    let refused = wait(pool.submit(Echo(Blob::from(vec![1; 20_000]))));
    assert!(matches!(refused, Err(TaskError::Refused(Refusal::TooBig { limit: 10_000, .. }))), "{refused:?}");
}

fn output_too_big() {
    let pool = ProcessPool::builder().processes(1).max_output(10_000).build().unwrap();
    let refused = wait(pool.submit(Echo(Blob::from(vec![1; 20_000]))));
    assert!(matches!(refused, Err(TaskError::Refused(Refusal::TooBig { limit: 10_000, .. }))), "{refused:?}");
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    assert_eq!(pool.metrics().died, 0);
}

fn metrics() {
    let pool = pool(1);
    let _ = wait(pool.submit(Sum(vec![1])));
    let _ = wait(pool.submit(Sum(vec![])));
    let _ = wait(pool.submit(Panics("no".into())));
    let _ = wait(pool.submit(Crash::Abort));
    let late = SubmitOptions::new().deadline_from_start(Duration::from_millis(1));
    let _ = wait(pool.submit_with(Sleep(500), late));
    let cancelled = pool.submit(Sleep(500));
    cancelled.cancel();
    let _ = wait(cancelled);
    until("nothing runs", || pool.metrics().running == 0);
    let its = pool.metrics();
    assert_eq!((its.completed, its.failed, its.panicked, its.crashed), (1, 1, 1, 1));
    assert_eq!((its.timed_out, its.cancelled, its.refused, its.queued), (1, 1, 0, 0));
    assert!(its.run.count() >= 3 && its.wait.count() >= 3, "{its:?}");
    assert!((1..=1).contains(&its.max_processes) && its.started >= 2);
}

fn admission() {
    let pool = ProcessPool::builder().processes(1).max_wait(Duration::from_millis(500)).build().unwrap();
    assert_eq!(pool.predicted_wait(), Duration::ZERO);
    let _runs = pool.submit_with(Sleep(60_000), SubmitOptions::new().cost(Duration::from_millis(300)));
    let second = pool.admit(Duration::from_millis(400)).unwrap();
    let refused = pool.admit(Duration::from_millis(400));
    assert!(matches!(refused, Err(Refusal::TooLongWait { .. })), "{refused:?}");
    drop(second);
    assert!(pool.admit(Duration::from_millis(400)).is_ok());
}

fn too_long_wait() {
    let pool = ProcessPool::builder().processes(1).max_wait(Duration::from_millis(100)).build().unwrap();
    let dear = || SubmitOptions::new().cost(Duration::from_secs(10));
    let _runs = pool.submit_with(Sleep(60_000), dear());
    let refused = wait(pool.submit_with(Sleep(1), dear())).unwrap_err();
    assert!(refused.retry_after().is_some(), "{refused:?}");
}
