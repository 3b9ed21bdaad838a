//! Tasks that nobody wants any more.

use crate::conformance::gate::{Counter, begun, end_of, hold, is_over};
use crate::conformance::tasks::{Add, Checks, Count, Deaf, Hold};
use crate::conformance::{Harness, Power, Shape};
use crate::{Executor, TaskError};

super::cases![
    a_task_that_is_cancelled_while_it_waits_never_runs,
    a_task_that_is_cancelled_while_it_runs_is_told_and_its_caller_answered_at_once,
    a_task_that_never_looks_is_cancelled_all_the_same_for_its_caller,
    dropping_a_submission_cancels_its_task,
    a_detached_task_runs_though_nobody_waits,
    a_thousand_cancelled_tasks_leave_room_for_others,
];

fn a_task_that_is_cancelled_while_it_waits_never_runs<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut counter = Counter::new(&executor);
    let held = hold(&executor);
    let mut waiting = executor.submit(Count);
    assert!(!is_over(&mut waiting));
    waiting.cancel();
    waiting.cancel();
    assert!(is_over(&mut waiting), "at once, though the only server is busy");
    held.release();
    assert_eq!(counter.since(), 0);
}

fn a_task_that_is_cancelled_while_it_runs_is_told_and_its_caller_answered_at_once<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    for _ in 0..20 {
        let mut running = begun(executor.submit(Checks));
        running.cancel();
        assert!(is_over(&mut running), "at once");
    }
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "none runs on");
}

fn a_task_that_never_looks_is_cancelled_all_the_same_for_its_caller<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let millis = if harness.has(Power::Kills) { u64::MAX / 2 } else { 300 };
    let deaf = begun(executor.submit(Deaf { millis }));
    deaf.cancel();
    assert_eq!(end_of(deaf), Err(TaskError::Cancelled));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "and the executor goes on");
}

fn dropping_a_submission_cancels_its_task<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut counter = Counter::new(&executor);
    let running = begun(executor.submit(Hold));
    let waiting = executor.submit(Count);
    drop(waiting);
    drop(running);
    assert_eq!(counter.since(), 0, "the one that waited never ran, the one that ran has stopped");
}

fn a_detached_task_runs_though_nobody_waits<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut counter = Counter::new(&executor);
    let held = hold(&executor);
    (0..3).for_each(|_| executor.submit(Count).detach());
    held.release();
    assert_eq!(counter.since(), 3);
    (0..3).for_each(|_| executor.submit(Count).detach());
    assert_eq!(counter.since(), 3);
}

fn a_thousand_cancelled_tasks_leave_room_for_others<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape { queue_limit: 10, ..Shape::servers(1) });
    let held = hold(&executor);
    for _ in 0..1000 {
        let mut waiting = executor.submit(Count);
        assert!(!is_over(&mut waiting), "there is room");
        waiting.cancel();
        assert_eq!(end_of(waiting), Err(TaskError::Cancelled));
    }
    let last = executor.submit(Add(1, 1));
    held.release();
    assert_eq!(end_of(last), Ok(2));
}
