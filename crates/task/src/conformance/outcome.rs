//! How a task ends: with its output, or with an error that says why not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::conformance::gate::{begun, end_of, ends_of, hold, is_over};
use crate::conformance::tasks::{Add, Fail, Hold, Kind, Nested, Panic, Stranger};
use crate::conformance::{Harness, Power, Shape};
use crate::{Blob, Crash, Ending, Executor, Phase, Refusal, SubmitOptions, TaskError};

super::cases![
    a_task_gives_its_output,
    nested_values_come_back_as_they_went,
    a_task_fails_in_its_own_words,
    errors_of_every_kind_arrive_as_the_task_made_them,
    an_error_of_megabytes_arrives_with_its_beginning,
    a_panic_is_an_error_with_its_words_and_its_place,
    a_panic_harms_nobody_else,
    a_task_that_nobody_registered_is_refused,
    who_waits_without_a_runtime_gets_the_result_or_gives_up_in_time,
    a_submission_gives_its_result_once,
    each_submission_has_a_number_of_its_own,
    the_last_handle_takes_everything_with_it if EndsWithItsHandle,
];

fn a_task_gives_its_output<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    for number in 0..100 {
        assert_eq!(end_of(executor.submit(Add(number, 1))), Ok(number + 1));
    }
    assert_eq!(add_on(&executor), Ok(4));
    assert_eq!(add_on(std::sync::Arc::new(executor)), Ok(4));
}

/// References and shared executors are executors.
fn add_on(executor: impl Executor) -> Result<u64, TaskError> {
    end_of(executor.submit(Add(2, 2)))
}

fn nested_values_come_back_as_they_went<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let blob = |len: usize| Blob::from((0..len).map(|n| n as u8).collect::<Vec<_>>());
    let leaf = Nested {
        text: "ünïcödé \0 and more".to_owned(),
        nothing: None,
        children: Vec::new(),
        by_name: BTreeMap::from([(String::new(), (i64::MIN, f64::MIN_POSITIVE, '🦀')), ("b".into(), (-1, -0.0, 'b'))]),
        blobs: vec![Some(blob(0)), None, Some(blob(4096)), Some(blob(4097)), Some(blob(100_000))],
        kind: Kind::Struct { inner: Err("no".to_owned()) },
    };
    let with = |kind| Nested { kind, nothing: Some(Box::new(leaf.clone())), ..leaf.clone() };
    let tree = Nested {
        children: vec![
            with(Kind::Unit),
            with(Kind::Tuple(9, blob(70_000))),
            with(Kind::Struct { inner: Ok(1 << 100) }),
        ],
        ..leaf.clone()
    };
    assert_eq!(end_of(executor.submit(tree.clone())), Ok(tree));
}

fn a_task_fails_in_its_own_words<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let result = end_of(executor.submit(Fail(TaskError::failed("no such picture"))));
    assert_eq!(result, Err(TaskError::Failed { message: "no such picture".to_owned() }));
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2));
}

fn errors_of_every_kind_arrive_as_the_task_made_them<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let errors = [
        TaskError::failed(""),
        TaskError::failed("8 KiB   ".repeat(1024)),
        TaskError::TimedOut(Phase::Run),
        TaskError::Cancelled,
        TaskError::Refused(Refusal::Full { queued: 1, limit: 1 }),
        TaskError::Refused(Refusal::Unknown { task: "another".to_owned() }),
    ];
    for error in errors {
        assert_eq!(end_of(executor.submit(Fail(error.clone()))), Err(error));
    }
}

fn an_error_of_megabytes_arrives_with_its_beginning<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let text = || "long words ".repeat(500_000);
    let crash = Crash { ending: Ending::Malformed(text()), stderr_tail: text() };
    let errors = [
        TaskError::failed(text()),
        TaskError::Panicked { message: text(), location: Some(text()) },
        TaskError::Refused(Refusal::Unknown { task: text() }),
        TaskError::Refused(Refusal::NotStarted { reason: text() }),
        TaskError::Crashed(crash),
    ];
    for error in errors {
        let arrived = end_of(executor.submit(Fail(error.clone()))).unwrap_err();
        let beginning = |error: &TaskError| format!("{error:?}").chars().take(8000).collect::<String>();
        assert_eq!(beginning(&arrived), beginning(&error));
    }
}

fn a_panic_is_an_error_with_its_words_and_its_place<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    for (task, words) in [(Panic::Text, "plain words"), (Panic::Formatted(7), "number 7"), (Panic::Number, "a panic")] {
        match end_of(executor.submit(task)) {
            Err(TaskError::Panicked { message, location: Some(place) }) => {
                assert!(message.starts_with(words), "{message}");
                assert!(place.contains("conformance/tasks.rs:"), "{place}");
            }
            other => panic!("{other:?}"),
        }
    }
}

fn a_panic_harms_nobody_else<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(2));
    let mixed: Vec<_> = (0..200)
        .map(|number| (executor.submit(Add(number, number)), (number % 4 == 0).then(|| executor.submit(Panic::Text))))
        .collect();
    for (number, (sum, panicked)) in mixed.into_iter().enumerate() {
        assert_eq!(end_of(sum), Ok(number as u64 * 2));
        if let Some(panicked) = panicked {
            assert!(matches!(end_of(panicked), Err(TaskError::Panicked { .. })));
        }
    }
}

fn a_task_that_nobody_registered_is_refused<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    if harness.has(Power::KeepsStrangers) {
        let tight = SubmitOptions::new().deadline_from_submit(Duration::from_millis(30));
        assert_eq!(end_of(executor.submit_with(Stranger, tight)), Err(TaskError::TimedOut(Phase::Queue)));
        assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "others do not wait for it");
        return;
    }
    let result = end_of(executor.submit(Stranger));
    if harness.has(Power::KnowsItsTasks) {
        let task = "conformance.stranger".to_owned();
        assert_eq!(result, Err(TaskError::Refused(Refusal::Unknown { task })));
    } else {
        assert_eq!(result, Ok(()), "it needs no name to be found");
    }
}

fn who_waits_without_a_runtime_gets_the_result_or_gives_up_in_time<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    assert_eq!(executor.submit(Add(1, 2)).wait(super::GIVE_UP), Ok(3));
    assert_eq!(executor.submit(Add(1, 2)).wait(Duration::MAX), Ok(3));
    let endless = begun(executor.submit(Hold));
    assert_eq!(endless.wait(Duration::from_millis(10)), Err(TaskError::TimedOut(Phase::Run)));
    let next = executor.submit(Add(2, 2));
    assert_eq!(end_of(next), Ok(4), "the endless one was told to stop");
}

fn a_submission_gives_its_result_once<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let mut submission = executor.submit(Add(1, 2));
    assert_eq!(crate::blocking::poll_within(&mut submission, super::GIVE_UP), Some(Ok(3)));
    submission.cancel();
    assert!(is_over(&mut submission));
    assert_eq!(end_of(submission), Err(TaskError::Cancelled));
}

fn each_submission_has_a_number_of_its_own<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let submissions: Vec<_> = (0..10).map(|_| executor.submit(Add(0, 0))).collect();
    let mut numbers: Vec<_> = submissions.iter().map(|submission| submission.id()).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 10);
    assert!(numbers.is_sorted());
    assert!(ends_of::<Add>(submissions).iter().all(Result::is_ok));
}

fn the_last_handle_takes_everything_with_it<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let other = executor.clone();
    let running = begun(executor.submit(Hold));
    let waiting = executor.submit(Add(1, 1));
    drop(executor);
    let later = other.submit(Add(1, 1));
    drop(other);
    assert_eq!(end_of(waiting), Err(TaskError::Refused(Refusal::ShuttingDown)));
    assert_eq!(end_of(later), Err(TaskError::Refused(Refusal::ShuttingDown)));
    assert_eq!(end_of(running), Err(TaskError::Cancelled));
    hold(&harness.build(&Shape::servers(1))).release();
}
