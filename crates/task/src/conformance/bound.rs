//! What is too much is refused, at once, with a reason.

use std::time::Duration;

use crate::conformance::gate::{end_of, ends_of, hold, is_over};
use crate::conformance::tasks::{Add, Echo, Grow};
use crate::conformance::{Harness, Shape};
use crate::{Blob, Executor, Refusal, SubmitOptions, TaskError};

super::cases![
    a_full_queue_refuses_at_once_and_all_that_were_taken_run if RefusesAtOnce,
    a_full_queue_refuses_and_all_that_were_taken_run,
    a_wait_that_would_be_too_long_is_refused_with_the_time_to_come_back if PredictsWaits,
    an_input_or_output_that_is_too_big_is_refused_and_the_next_one_works if BoundsBytes,
];

fn a_full_queue_refuses_at_once_and_all_that_were_taken_run<H: Harness>(harness: &H) {
    const LIMIT: usize = 5;
    let executor = harness.build(&Shape { queue_limit: LIMIT, ..Shape::servers(1) });
    for _ in 0..2 {
        let held = hold(&executor);
        let mut taken = Vec::new();
        let refused = loop {
            let mut submission = executor.submit(Add(taken.len() as u64, 0));
            if is_over(&mut submission) {
                // Its error was taken by the look; the next one says the same.
                break end_of(executor.submit(Add(0, 0)));
            }
            taken.push(submission);
            assert!(taken.len() <= LIMIT + harness.most_ahead(), "nothing is refused");
        };
        assert_eq!(refused, Err(TaskError::Refused(Refusal::Full { queued: LIMIT, limit: LIMIT })));
        assert!(taken.len() >= LIMIT);
        held.release();
        let results = ends_of::<Add>(taken);
        assert!(results.into_iter().enumerate().all(|(number, result)| result == Ok(number as u64)));
    }
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "there is room again");
}

fn a_full_queue_refuses_and_all_that_were_taken_run<H: Harness>(harness: &H) {
    const LIMIT: usize = 5;
    let executor = harness.build(&Shape { queue_limit: LIMIT, ..Shape::servers(1) });
    for _ in 0..2 {
        let held = hold(&executor);
        let most = LIMIT + harness.most_ahead();
        let mut submissions: Vec<_> = (0..=most).map(|number| executor.submit(Add(number as u64, 0))).collect();
        let refused = submissions.split_off(most).into_iter().map(end_of).next();
        assert_eq!(refused, Some(Err(TaskError::Refused(Refusal::Full { queued: LIMIT, limit: LIMIT }))));
        held.release();
        let results = ends_of::<Add>(submissions);
        let is_taken = |result: &Result<u64, TaskError>| !matches!(result, Err(TaskError::Refused(_)));
        assert!(results.iter().filter(|result| is_taken(result)).count() >= LIMIT);
        assert!(
            results.into_iter().enumerate().all(|(number, result)| !is_taken(&result) || result == Ok(number as u64))
        );
    }
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "there is room again");
}

fn a_wait_that_would_be_too_long_is_refused_with_the_time_to_come_back<H: Harness>(harness: &H) {
    let max_wait = Duration::from_secs(10);
    let executor = harness.build(&Shape { max_wait, ..Shape::servers(1) });
    let hours = SubmitOptions::new().cost(Duration::from_secs(7200));
    let held = hold(&executor);
    let taken = executor.submit_with(Add(1, 1), hours.clone());
    let refused = end_of(executor.submit_with(Add(2, 2), hours));
    assert!(
        matches!(&refused, Err(TaskError::Refused(Refusal::TooLongWait { predicted, limit, retry_after }))
            if predicted > limit && *limit == max_wait && *retry_after < *predicted && !retry_after.is_zero()),
        "{refused:?}"
    );
    assert!(refused.is_err_and(|error| error.retry_after().is_some()));
    held.release();
    assert_eq!(end_of(taken), Ok(2));
}

fn an_input_or_output_that_is_too_big_is_refused_and_the_next_one_works<H: Harness>(harness: &H) {
    const LIMIT: usize = 1 << 20;
    let executor = harness.build(&Shape { max_bytes: LIMIT as u64, ..Shape::servers(1) });
    let is_too_big = |result: Result<(), TaskError>| {
        matches!(result, Err(TaskError::Refused(Refusal::TooBig { bytes, limit }))
            if bytes > limit && limit == LIMIT as u64)
    };
    let input = executor.submit(Echo(Blob::from(vec![0; LIMIT + 1])));
    assert!(is_too_big(end_of(input).map(drop)), "an input");
    for grow in [Grow { blob: LIMIT + 1, list: 0 }, Grow { blob: 0, list: LIMIT + 1 }] {
        let (blob, list) = (grow.blob, grow.list);
        let result = end_of(executor.submit(grow)).map(drop);
        assert!(is_too_big(result.clone()), "an output of a blob of {blob} and a list of {list}: {result:?}");
        assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2));
    }
    let fits = LIMIT - 4096;
    assert_eq!(end_of(executor.submit(Grow { blob: fits, list: 0 })).unwrap().0.len(), fits);
    assert_eq!(end_of(executor.submit(Grow { blob: 0, list: fits })).unwrap().1.len(), fits);
}
