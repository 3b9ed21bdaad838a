//! A submission is a future of no runtime in particular.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::Executor;
use crate::conformance::gate::{begun, end_of};
use crate::conformance::tasks::{Add, Hold};
use crate::conformance::{GIVE_UP, Harness, Shape};

super::cases![
    submissions_are_awaited_under_a_runtime_of_one_thread,
    submissions_are_awaited_under_a_runtime_of_many_threads,
    submissions_are_awaited_without_a_runtime,
    a_submission_that_loses_a_race_is_cancelled,
];

fn submissions_are_awaited_under_a_runtime_of_one_thread<H: Harness>(harness: &H) {
    many_futures(harness, &Builder::new_current_thread().enable_all().build().unwrap());
}

fn submissions_are_awaited_under_a_runtime_of_many_threads<H: Harness>(harness: &H) {
    many_futures(harness, &Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap());
}

fn many_futures<H: Harness>(harness: &H, runtime: &Runtime) {
    let executor = harness.build(&Shape::servers(2));
    runtime.block_on(async {
        let futures: Vec<_> = (0..200_u64)
            .map(|number| {
                let executor = executor.clone();
                tokio::spawn(async move {
                    let mut sum = number;
                    for _ in 0..10 {
                        sum = executor.submit(Add(sum, 1)).await.unwrap();
                    }
                    sum
                })
            })
            .collect();
        for (number, future) in futures.into_iter().enumerate() {
            let sum = tokio::time::timeout(GIVE_UP, future).await.expect("a task has no end").unwrap();
            assert_eq!(sum, number as u64 + 10);
        }
    });
}

fn submissions_are_awaited_without_a_runtime<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let other = executor.clone();
    let there = std::thread::spawn(move || other.submit(Add(1, 1)).wait(GIVE_UP));
    assert_eq!(executor.submit(Add(2, 2)).wait(GIVE_UP), Ok(4));
    assert_eq!(there.join().unwrap(), Ok(2));
}

fn a_submission_that_loses_a_race_is_cancelled<H: Harness>(harness: &H) {
    let executor = harness.build(&Shape::servers(1));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let running = begun(executor.submit(Hold));
    let raced = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(5), running).await });
    assert!(raced.is_err());
    assert_eq!(end_of(executor.submit(Add(1, 1))), Ok(2), "its server is free");
}
