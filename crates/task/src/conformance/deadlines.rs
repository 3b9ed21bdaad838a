//! The two deadlines: from submit, and from start.

use std::time::Duration;

use crate::conformance::gate::{Counter, end_of, hold, next_word};
use crate::conformance::tasks::{Add, Checks, Count, Deaf, Hold};
use crate::conformance::{Harness, Power, Shape};
use crate::{Executor, Phase, Submission, SubmitOptions, TaskError};

super::cases![
    a_deadline_that_passes_in_the_queue_is_told_and_the_task_never_runs,
    a_deadline_from_start_ends_a_task_that_runs,
    a_deadline_from_submit_ends_a_task_that_runs,
    the_earlier_of_both_deadlines_counts,
    a_task_that_checks_hears_of_its_deadline,
    a_task_that_never_looks_costs_its_caller_no_more_than_its_deadline,
    a_deadline_that_is_met_changes_nothing,
    a_task_without_any_time_never_runs,
];

const SOON: Duration = Duration::from_millis(30);
const HOUR: Duration = Duration::from_secs(3600);

fn from_submit(time: Duration) -> SubmitOptions {
    SubmitOptions::new().deadline_from_submit(time)
}

fn from_start(time: Duration) -> SubmitOptions {
    SubmitOptions::new().deadline_from_start(time)
}

/// A task with a deadline from submit that has begun: on a busy machine that may take more than one try.
fn begun_in_time(executor: &impl Executor, options: SubmitOptions) -> Submission<()> {
    [50, 500, 5000, 50_000]
        .into_iter()
        .map(|millis| executor.submit_with(Hold, options.clone().deadline_from_submit(Duration::from_millis(millis))))
        .find(|submission| next_word(&mut submission.progress()).is_some())
        .expect("it begins in less than a minute")
}

fn a_deadline_that_passes_in_the_queue_is_told_and_the_task_never_runs<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut counter = Counter::new(&executor);
    let held = hold(&executor);
    let late: Vec<_> = (0..5).map(|_| executor.submit_with(Count, from_submit(SOON))).collect();
    let patient = executor.submit_with(Count, from_submit(HOUR));
    for late in late {
        assert_eq!(end_of(late), Err(TaskError::TimedOut(Phase::Queue)), "told while the only server is busy");
    }
    held.release();
    assert!(end_of(patient).is_ok());
    assert_eq!(counter.since(), 1, "those that were late never ran");
}

fn a_deadline_from_start_ends_a_task_that_runs<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let held = hold(&executor);
    let waiting = executor.submit_with(Add(1, 1), from_start(HOUR));
    held.release();
    assert_eq!(end_of(waiting), Ok(2), "the time in the queue does not count");
    assert_eq!(end_of(executor.submit_with(Hold, from_start(SOON))), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2));
}

fn a_deadline_from_submit_ends_a_task_that_runs<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    assert_eq!(end_of(begun_in_time(&executor, SubmitOptions::new())), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2));
}

fn the_earlier_of_both_deadlines_counts<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let options = from_submit(HOUR).deadline_from_start(SOON);
    assert_eq!(end_of(executor.submit_with(Hold, options)), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(end_of(begun_in_time(&executor, from_start(HOUR))), Err(TaskError::TimedOut(Phase::Run)));
}

fn a_task_that_checks_hears_of_its_deadline<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    assert_eq!(end_of(executor.submit_with(Checks, from_start(SOON))), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "and returns");
}

fn a_task_that_never_looks_costs_its_caller_no_more_than_its_deadline<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    // For ever where it is killed; else for as long as a server can be spared.
    let millis = if harness.has(Power::Kills) { u64::MAX / 2 } else { 300 };
    let deaf = executor.submit_with(Deaf { millis }, from_start(SOON));
    assert_eq!(end_of(deaf), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "and the executor goes on");
}

fn a_deadline_that_is_met_changes_nothing<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let options = from_submit(HOUR).deadline_from_start(HOUR);
    let sums: Vec<_> = (0..200).map(|number| executor.submit_with(Add(number, 1), options.clone())).collect();
    for (number, sum) in sums.into_iter().enumerate() {
        assert_eq!(end_of(sum), Ok(number as u64 + 1));
    }
}

fn a_task_without_any_time_never_runs<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut counter = Counter::new(&executor);
    let result = end_of(executor.submit_with(Count, from_submit(Duration::ZERO)));
    assert_eq!(result, Err(TaskError::TimedOut(Phase::Queue)));
    assert_eq!(counter.since(), 0);
}
