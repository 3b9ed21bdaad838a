use std::sync::{Arc, Mutex};
use std::time::Duration;

use phalanx_thread::{Priority, ThreadPool};

use crate::gate::{hold, pool_of, run};

#[test]
fn the_most_urgent_job_goes_first_and_equals_in_their_order() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs: Vec<_> = [(1, 0), (2, 4), (3, 9), (4, 4), (5, 9), (6, 7)]
        .into_iter()
        .map(|(name, level)| {
            let order = order.clone();
            pool.job().priority(Priority::new(level)).spawn(move |_| order.lock().unwrap().push(name))
        })
        .collect();
    assert_eq!(pool.metrics().queued_by_priority, [1, 0, 0, 0, 2, 0, 0, 1, 0, 2]);
    run(async {
        held.finish().await.unwrap();
        for job in jobs {
            job.await.unwrap();
        }
    });
    assert_eq!(*order.lock().unwrap(), [3, 5, 6, 2, 4, 1]);
}

#[test]
fn an_idle_job_gets_its_turn_though_urgent_ones_never_end() {
    let pool = ThreadPool::builder().threads(1).max_wait(Duration::from_secs(1000)).build().unwrap();
    let held = hold(pool.job());
    let order = Arc::new(Mutex::new(Vec::new()));
    let submit = |name: &'static str, priority| {
        let order = order.clone();
        pool.job().priority(priority).spawn(move |_| order.lock().unwrap().push(name))
    };
    let mut jobs = vec![submit("idle", Priority::LOWEST), submit("idle", Priority::LOWEST)];
    jobs.extend((0..100).map(|_| submit("urgent", Priority::HIGHEST)));
    run(async {
        held.finish().await.unwrap();
        for job in jobs {
            job.await.unwrap();
        }
    });
    let order = order.lock().unwrap();
    let idle: Vec<_> = order.iter().enumerate().filter(|(_, name)| **name == "idle").map(|(place, _)| place).collect();
    assert_eq!(idle, [32, 65]);
}

#[test]
fn jobs_that_wait_for_less_urgent_ones_only_are_let_in() {
    let second = Duration::from_secs(1);
    let pool = ThreadPool::builder().threads(1).max_wait(second).build().unwrap();
    let held = hold(pool.job().cost(Duration::ZERO));
    let _waiting = pool.job().cost(second * 5).priority(Priority::LOWEST).spawn(|_| ());
    let urgent = pool.job().cost(second).priority(Priority::HIGHEST).spawn(|_| 1);
    let equal = pool.job().cost(second).priority(Priority::LOWEST).spawn(|_| 2);
    run(async {
        assert!(equal.await.is_err(), "it would wait for all that is ahead of it");
        held.finish().await.unwrap();
        assert_eq!(urgent.await, Ok(1));
    });
}

#[test]
fn levels_above_nine_are_nine() {
    assert_eq!((Priority::new(200), Priority::new(9).level(), Priority::default().level()), (Priority::HIGHEST, 9, 4));
}
