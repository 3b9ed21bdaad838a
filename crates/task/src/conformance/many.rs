//! Many tasks, from many threads: none lost, none twice.

use std::collections::{HashMap, VecDeque};
use std::thread;
use std::time::Duration;

use crate::conformance::gate::{begun, end_of, hold};
use crate::conformance::tasks::{Add, Checks, Count, Echo, Hold, Panic};
use crate::conformance::{Harness, Shape};
use crate::{Blob, Executor, Phase, Priority, Refusal, SubmitOptions, TaskError};

super::cases![
    of_ten_thousand_tasks_none_is_lost_and_none_runs_twice,
    ten_thousand_tasks_in_one_flood_all_end,
    many_threads_submit_at_once,
    in_a_storm_of_everything_each_task_ends_in_one_way_that_it_may,
    two_executors_share_nothing,
];

const MANY: usize = 10_000;
const IN_FLIGHT: usize = 64;

fn of_ten_thousand_tasks_none_is_lost_and_none_runs_twice<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let mut in_flight = VecDeque::new();
    let mut runs: HashMap<u32, Vec<u64>> = HashMap::new();
    let mut note = |(process, number)| runs.entry(process).or_default().push(number);
    for _ in 0..MANY {
        if in_flight.len() == IN_FLIGHT {
            note(in_flight.pop_front().map(end_of).unwrap().unwrap());
        }
        in_flight.push_back(executor.submit(Count));
    }
    in_flight.into_iter().map(end_of).for_each(|run| note(run.unwrap()));
    assert_eq!(runs.values().map(Vec::len).sum::<usize>(), MANY);
    for (process, mut numbers) in runs {
        numbers.sort_unstable();
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        assert_eq!(gap, None, "process {process} ran one that nobody heard of, or twice");
    }
}

fn ten_thousand_tasks_in_one_flood_all_end<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let options = |number: usize| SubmitOptions::new().priority(Priority::new((number % 10) as u8));
    let submissions: Vec<_> =
        (0..MANY).map(|number| executor.submit_with(Add(number as u64, 1), options(number))).collect();
    let mut ends: Vec<_> = submissions.into_iter().enumerate().collect();
    // As they will end: the highest priority first.
    ends.sort_by_key(|(number, _)| std::cmp::Reverse(number % 10));
    for (number, submission) in ends {
        assert_eq!(end_of(submission), Ok(number as u64 + 1));
    }
}

fn many_threads_submit_at_once<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    thread::scope(|scope| {
        for number in 0..16_u64 {
            let executor = executor.clone();
            scope.spawn(move || {
                for round in 0..100 {
                    let both = (executor.submit(Add(number, round)), executor.submit(Add(round, 1)));
                    drop(executor.submit(Count));
                    if round % 10 == number % 10 {
                        assert!(matches!(end_of(executor.submit(Panic::Text)), Err(TaskError::Panicked { .. })));
                    }
                    assert_eq!((end_of(both.1), end_of(both.0)), (Ok(round + 1), Ok(number + round)));
                }
            });
        }
    });
}

/// Sums, blobs, panics and tasks that run until they are stopped; with deadlines of some microseconds to some milliseconds,
/// cancelled, dropped and detached, into a queue that overflows.
fn in_a_storm_of_everything_each_task_ends_in_one_way_that_it_may<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape { queue_limit: 50, ..Shape::servers(2) });
    thread::scope(|scope| {
        for number in 0..4 {
            let executor = executor.clone();
            scope.spawn(move || (0..300).for_each(|round| one_of_a_storm(&executor, round * 4 + number)));
        }
    });
    let after: Vec<_> = (0..10).map(|number| executor.submit(Add(number, 1))).collect();
    for (number, sum) in after.into_iter().enumerate() {
        assert_eq!(end_of(sum), Ok(number as u64 + 1), "afterwards all is as before");
    }
}

fn one_of_a_storm(executor: &impl Executor, number: u64) {
    let is_refused = |error: &TaskError| matches!(error, TaskError::Refused(Refusal::Full { .. }));
    let is_late = |error: &TaskError| matches!(error, TaskError::TimedOut(Phase::Queue | Phase::Run));
    let options = SubmitOptions::new().priority(Priority::new((number % 10) as u8));
    let tight = Duration::from_micros(number % 7 * 700);
    match number % 6 {
        0 => {
            let end = end_of(executor.submit_with(Add(number, 1), options.deadline_from_submit(tight)));
            assert!(
                end.as_ref().map_or_else(|error| is_late(error) || is_refused(error), |sum| *sum == number + 1),
                "{end:?}"
            );
        }
        1 => {
            let end = end_of(executor.submit_with(Checks, options.deadline_from_start(tight)));
            assert!(end.as_ref().is_err_and(|error| is_late(error) || is_refused(error)), "{end:?}");
        }
        2 => {
            let running = executor.submit_with(Checks, options);
            running.cancel();
            let end = end_of(running);
            assert!(end.as_ref().is_err_and(|error| *error == TaskError::Cancelled || is_refused(error)), "{end:?}");
        }
        3 => {
            let end = end_of(executor.submit_with(Panic::Text, options));
            let has_panicked = |error: &TaskError| matches!(error, TaskError::Panicked { .. });
            assert!(end.as_ref().is_err_and(|error| has_panicked(error) || is_refused(error)), "{end:?}");
        }
        4 => drop(executor.submit_with(Echo(Blob::from(vec![7; 20_000])), options)),
        _ => {
            let echo = end_of(executor.submit_with(Echo(Blob::from(vec![7; 20_000])), options));
            assert!(echo.as_ref().map_or_else(is_refused, |echo| echo.len() == 20_000), "{echo:?}");
            executor.submit(Add(1, 1)).detach();
        }
    }
}

fn two_executors_share_nothing<H: Harness>(harness: &H) {
    let shape = Shape { queue_limit: 1, ..Shape::servers(1) };
    let (one, other) = (harness.build(&shape), harness.build(&shape));
    let key = || SubmitOptions::new().idempotency_key("the same");
    let running = begun(one.submit_with(Hold, key()));
    let waiting = one.submit(Add(1, 1));
    assert_eq!(end_of(other.submit_with(Add(2, 2), key())), Ok(4));
    hold(&other).release();
    drop(other);
    drop(running);
    assert_eq!(end_of(waiting), Ok(2));
}
