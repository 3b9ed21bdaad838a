//! How far a task has come.

use crate::conformance::gate::{begun, end_of, hold, next_word};
use crate::conformance::tasks::{Add, Hold, Steps};
use crate::conformance::{Harness, Shape};
use crate::{Executor, Progress, SubmitOptions};

super::cases![
    progress_only_grows_and_its_last_word_is_never_lost,
    a_listener_hears_of_progress_while_the_task_runs_though_nobody_polls_it,
    progress_ends_with_every_task,
    a_detached_task_goes_on_with_its_progress,
];

fn progress_only_grows_and_its_last_word_is_never_lost<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    for steps in [1, 10, 100_000] {
        let submission = executor.submit(Steps(steps));
        let mut progress = submission.progress();
        let words: Vec<_> = std::iter::from_fn(|| next_word(&mut progress)).collect();
        assert!(words.is_sorted_by_key(|word| word.done), "{words:?}");
        assert_eq!(words.last(), Some(&Progress { done: steps, total: steps }));
        let mut late = submission.progress();
        assert_eq!(end_of(submission), Ok(()));
        assert_eq!(next_word(&mut late), Some(Progress { done: steps, total: steps }), "also afterwards");
        assert_eq!(next_word(&mut late), None);
    }
}

fn a_listener_hears_of_progress_while_the_task_runs_though_nobody_polls_it<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    for _ in 0..20 {
        begun(executor.submit(Hold)).cancel();
    }
}

fn progress_ends_with_every_task<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape { queue_limit: 1, ..Shape::servers(1) });
    let held = hold(&executor);
    let cancelled = executor.submit(Add(1, 1));
    let mut progress = cancelled.progress();
    cancelled.cancel();
    assert_eq!(next_word(&mut progress), None);
    let late =
        executor.submit_with(Add(1, 1), SubmitOptions::new().deadline_from_submit(std::time::Duration::from_millis(1)));
    assert_eq!(next_word(&mut late.progress()), None);
    let dropped = executor.submit(Add(1, 1));
    let mut progress = dropped.progress();
    drop(dropped);
    assert_eq!(next_word(&mut progress), None);
    held.release();
    let silent = executor.submit(Add(1, 1));
    assert_eq!(next_word(&mut silent.progress()), None);
    assert_eq!(end_of(silent), Ok(2));
}

fn a_detached_task_goes_on_with_its_progress<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let held = hold(&executor);
    let submission = executor.submit(Steps(3));
    let mut progress = submission.progress();
    submission.detach();
    held.release();
    let words: Vec<_> = std::iter::from_fn(|| next_word(&mut progress)).collect();
    assert_eq!(words.last(), Some(&Progress { done: 3, total: 3 }));
}
