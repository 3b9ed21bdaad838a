//! Who goes first.

use crate::conformance::gate::{end_of, hold};
use crate::conformance::tasks::Stamp;
use crate::conformance::{Harness, Shape};
use crate::{Executor, Priority, Submission, SubmitOptions};

super::cases![
    tasks_of_one_priority_begin_in_their_order,
    higher_priorities_go_first,
    the_lowest_priority_has_its_turn_though_higher_ones_wait if TakesTurns,
];

type Stamped = Submission<(i64, i64)>;

/// The numbers of the submissions in the order in which they ran.
fn order_of(submissions: Vec<Stamped>) -> Vec<usize> {
    let mut times: Vec<_> = submissions.into_iter().map(|submission| end_of(submission).unwrap()).zip(0..).collect();
    times.sort_unstable();
    times.into_iter().map(|(_, number)| number).collect()
}

fn tasks_of_one_priority_begin_in_their_order<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    // Twice: the second time the executor may have learnt how short they are.
    for _ in 0..2 {
        let held = hold(&executor);
        let submissions = (0..30).map(|_| executor.submit(Stamp)).collect();
        held.release();
        assert!(order_of(submissions).is_sorted());
    }
}

fn higher_priorities_go_first<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let stamp = |level| executor.submit_with(Stamp, SubmitOptions::new().priority(Priority::new(level)));
    for _ in 0..2 {
        let held = hold(&executor);
        let submissions = [0, 4, 9, 4, 0, 9].into_iter().map(stamp).collect();
        held.release();
        assert_eq!(order_of(submissions), [2, 5, 1, 3, 0, 4]);
    }
}

fn the_lowest_priority_has_its_turn_though_higher_ones_wait<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let stamp = |priority| executor.submit_with(Stamp, SubmitOptions::new().priority(priority));
    let held = hold(&executor);
    let mut submissions: Vec<_> = (0..200).map(|_| stamp(Priority::HIGHEST)).collect();
    submissions.push(stamp(Priority::LOWEST));
    held.release();
    let turn = order_of(submissions).into_iter().position(|number| number == 200);
    // 42 starts, as `Priority` says, and what the executor had chosen before it came.
    assert!(turn.is_some_and(|turn| turn <= 42 + harness.most_ahead()), "{turn:?}");
}
