//! Idempotency keys: of one name one task at a time.

use std::time::Duration;

use crate::conformance::gate::{begun, end_of, hold};
use crate::conformance::tasks::{Add, Fail, Hold, Panic};
use crate::conformance::{Harness, Shape};
use crate::{Executor, Refusal, SubmitOptions, TaskError};

super::cases![
    a_second_task_of_the_same_key_is_refused_until_the_first_has_ended,
    a_key_is_free_when_its_task_will_never_run,
];

fn key(name: &str) -> SubmitOptions {
    SubmitOptions::new().idempotency_key(name)
}

fn a_second_task_of_the_same_key_is_refused_until_the_first_has_ended<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let duplicate = || Err(TaskError::Refused(Refusal::Duplicate));
    let running = begun(executor.submit_with(Hold, key("invoice 7")));
    assert_eq!(end_of(executor.submit_with(Add(1, 1), key("invoice 7"))), duplicate());
    assert_eq!(end_of(executor.submit_with(Add(1, 1), key("invoice 8"))), Ok(2));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2));
    drop(running);
    for _ in 0..100 {
        assert_eq!(end_of(executor.submit_with(Add(1, 1), key("the result is there"))), Ok(2));
        assert!(end_of(executor.submit_with(Fail(TaskError::failed("no")), key("it failed"))).is_err());
    }
    for _ in 0..3 {
        let panicked = end_of(executor.submit_with(Panic::Text, key("it panicked")));
        assert!(matches!(panicked, Err(TaskError::Panicked { .. })), "{panicked:?}");
    }
}

fn a_key_is_free_when_its_task_will_never_run<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let held = hold(&executor);
    let cancelled = executor.submit_with(Add(1, 1), key("k"));
    cancelled.cancel();
    assert_eq!(end_of(cancelled), Err(TaskError::Cancelled));
    drop(executor.submit_with(Add(1, 1), key("k")));
    let late = executor.submit_with(Add(1, 1), key("k").deadline_from_submit(Duration::from_millis(1)));
    assert!(matches!(end_of(late), Err(TaskError::TimedOut(_))));
    let last = executor.submit_with(Add(1, 1), key("k"));
    held.release();
    assert_eq!(end_of(last), Ok(2));
}
