//! Everything at once, from many threads: every task ends, everything is counted, and nothing is left.

use std::time::Duration;

use phalanx_task::{Blob, Executor, ProcessPool, SubmitOptions, TaskError};

use crate::Test;
use crate::jobs::{Blocks, Crash, Echo, Moody, Sleep, Speak, Sum};
use crate::tools::{LONG, until};

pub(crate) const TESTS: &[Test] =
    &[("thousands of tasks of all kinds from many threads all end and leave nothing", everything_at_once)];

const THREADS: u64 = 4;
const TASKS: u64 = 600;

fn everything_at_once() {
    let before = descriptors();
    let pool = ProcessPool::builder()
        .processes(2)
        .queue_limit(100_000)
        .max_wait(LONG)
        .standing_wait(LONG)
        .poison_after(u32::MAX)
        .max_jobs(500)
        .build()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    runtime.block_on(async {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    let mut flights = tokio::task::JoinSet::new();
                    for number in 0..TASKS {
                        flights.spawn(one(pool.clone(), thread * TASKS + number));
                        if flights.len() >= 32 {
                            flights.join_next().await.unwrap().unwrap();
                        }
                    }
                    while let Some(ended) = flights.join_next().await {
                        ended.unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            tokio::time::timeout(LONG, thread).await.expect("every task ends").unwrap();
        }
    });
    until("nothing runs", || pool.metrics().running == 0);
    let its = pool.metrics();
    let ends = its.completed + its.failed + its.panicked + its.crashed + its.timed_out + its.cancelled + its.refused;
    assert_eq!(ends, THREADS * TASKS, "{its:?}");
    assert!(its.crashed > 0 && its.timed_out > 0 && its.cancelled > 0 && its.recycled > 0, "{its:?}");
    assert_eq!((its.queued, its.refused), (0, 0));
    let left = pool.drain_blocking(LONG);
    assert_eq!((left.queued, left.running), (0, 0));
    drop((pool, runtime));
    until("all descriptors are closed", || descriptors() <= before);
    assert!(rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG).is_err(), "no child is left");
}

async fn one(pool: ProcessPool, number: u64) {
    match number % 40 {
        0 => assert!(matches!(pool.submit(Crash::Exit(number as i32)).await, Err(TaskError::Crashed(_)))),
        1 => {
            let late = SubmitOptions::new().deadline_from_start(Duration::from_millis(3));
            assert!(matches!(pool.submit_with(Sleep(40), late).await, Err(TaskError::TimedOut(_))));
        }
        2 => drop(pool.submit(Blocks)),
        3 => {
            let cancelled = pool.submit(Moody { sleeps_millis: 50, number, ..Moody::default() });
            tokio::time::sleep(Duration::from_millis(number % 7)).await;
            cancelled.cancel();
            let _ = cancelled.await;
        }
        4 | 5 => {
            let blob = Blob::from(vec![number as u8; 40_000 * (number % 16) as usize]);
            assert_eq!(pool.submit(Echo(blob.clone())).await, Ok(blob));
        }
        6 => assert!(pool.submit(Speak(0)).await.is_ok()),
        7 => assert_eq!(pool.submit(Sum(vec![])).await, Err(TaskError::failed("nothing to add"))),
        _ => assert_eq!(pool.submit(Moody { number, ..Moody::default() }).await, Ok(number)),
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
