//! Many tasks, from many threads: none lost, none twice.

use std::collections::{HashMap, VecDeque};
use std::thread;

use crate::conformance::gate::end_of;
use crate::conformance::tasks::{Add, Count, Panic};
use crate::conformance::{Harness, Shape};
use crate::{Executor, Priority, SubmitOptions, TaskError};

super::cases![
    of_ten_thousand_tasks_none_is_lost_and_none_runs_twice,
    ten_thousand_tasks_in_one_flood_all_end,
    many_threads_submit_at_once,
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
    for (number, submission) in submissions.into_iter().enumerate() {
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
