//! What a task is told, and what it may do.

use std::time::Duration;

use crate::conformance::gate::end_of;
use crate::conformance::tasks::{About, Scratch, Waits};
use crate::conformance::{Harness, Shape};
use crate::{Executor, SubmitOptions};

super::cases![
    a_task_knows_who_it_is_and_how_long_it_may_run,
    a_task_may_wait_inside,
    a_task_finds_the_memory_that_it_left,
];

fn a_task_knows_who_it_is_and_how_long_it_may_run<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let submission = executor.submit(About);
    let id = submission.id().get();
    let told = end_of(submission).unwrap();
    assert_eq!((told.name.as_str(), told.id, told.attempt), ("conformance.about", id, 1));
    assert_eq!((told.is_cancelled, told.left), (false, None));
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    let options = [
        SubmitOptions::new().deadline_from_submit(hour),
        SubmitOptions::new().deadline_from_start(hour),
        SubmitOptions::new().deadline_from_submit(hour).deadline_from_start(day),
        SubmitOptions::new().deadline_from_submit(day).deadline_from_start(hour),
    ];
    for options in options {
        let left = end_of(executor.submit_with(About, options.clone())).unwrap().left.expect("a deadline");
        assert!((hour - super::GIVE_UP..=hour).contains(&left), "{left:?} of {options:?}");
    }
    let options = SubmitOptions::new().deadline_from_submit(Duration::MAX).deadline_from_start(Duration::MAX);
    let told = end_of(executor.submit_with(About, options)).unwrap();
    assert!(!told.is_cancelled && told.left.is_none_or(|left| left > day), "{told:?}");
}

fn a_task_may_wait_inside<H: Harness>(harness: &H) {
    assert_eq!(end_of(harness.build(&Shape::servers(1)).submit(Waits)), Ok(5));
}

fn a_task_finds_the_memory_that_it_left<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let lengths: Vec<_> = (0..5).map(|_| end_of(executor.submit(Scratch))).collect();
    assert_eq!(lengths, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
}
