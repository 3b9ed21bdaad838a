use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phalanx_thread::{Cancellation, JobError, Refusal, ThreadPool};

use crate::gate::{GIVE_UP, hold, pool_of, run, until};

#[test]
fn results_come_in_the_order_of_the_items_and_a_panic_takes_only_its_own() {
    let pool = pool_of(3);
    let mut squares = pool.map(0..1000_u64, |_, number| {
        assert!(number % 100 != 99, "expected");
        // Later ones are often faster.
        (0..(1000 - number) * 20).fold(0_u64, |sum, step| std::hint::black_box(sum.wrapping_add(step)));
        number * number
    });
    run(async {
        for number in 0..1000_u64 {
            match squares.next().await {
                Some(Ok(square)) => assert_eq!(square, number * number),
                Some(Err(JobError::Panicked { .. })) => assert_eq!(number % 100, 99),
                other => panic!("{other:?}"),
            }
        }
        assert!(squares.next().await.is_none() && squares.next().await.is_none());
    });
}

#[test]
fn items_are_taken_only_when_there_is_room_for_them() {
    const IN_FLIGHT: usize = 3;
    let pool = pool_of(2);
    let taken = Arc::new(AtomicUsize::new(0));
    let counting = taken.clone();
    let items = (0..10_000).inspect(move |_| {
        counting.fetch_add(1, Ordering::Relaxed);
    });
    let mut results = pool.map(items, |_, item| item).in_flight(IN_FLIGHT);
    assert_eq!(taken.load(Ordering::Relaxed), 0, "nothing before it is polled");
    run(async {
        for number in 0..100 {
            assert_eq!(results.next().await, Some(Ok(number)));
            assert!(taken.load(Ordering::Relaxed) <= number + 1 + IN_FLIGHT);
        }
    });
}

#[test]
fn a_full_queue_holds_it_up_and_loses_nothing() {
    let pool = ThreadPool::builder().threads(1).queue_limit(2).max_wait(Duration::from_secs(1000)).build().unwrap();
    let held = hold(pool.job());
    let in_the_way = [pool.spawn(|_| ()), pool.spawn(|_| ())];
    let mut results = pool.map(0..200, |_, item| item).in_flight(16);
    run(async {
        let first = tokio::time::timeout(Duration::from_millis(20), results.next()).await;
        assert!(first.is_err(), "there is no room");
        held.finish().await.unwrap();
        for number in 0..200 {
            assert_eq!(results.next().await, Some(Ok(number)));
        }
        assert_eq!(results.next().await, None);
        for job in in_the_way {
            job.await.unwrap();
        }
    });
    assert_eq!(pool.metrics().refused, 0);
}

#[test]
fn a_wait_that_would_be_too_long_holds_it_up_too() {
    let second = Duration::from_secs(1);
    let pool = ThreadPool::builder().threads(1).max_wait(second).build().unwrap();
    let held = hold(pool.job().cost(second * 10));
    let mut results = pool.job().cost(second * 2).map(0..3, |_, item| item);
    run(async {
        let first = tokio::time::timeout(Duration::from_millis(20), results.next()).await;
        assert!(first.is_err(), "it would wait for too long");
        held.finish().await.unwrap();
        for number in 0..3 {
            assert_eq!(results.next().await, Some(Ok(number)));
        }
    });
}

#[test]
fn dropped_it_cancels_the_rest_and_frees_the_items() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let item = Arc::new(());
    let copies = item.clone();
    let mut results = pool.map((0..100).map(move |_| copies.clone()), |_, item| drop(item)).in_flight(10);
    run(async {
        assert!(tokio::time::timeout(Duration::from_millis(10), results.next()).await.is_err());
        assert!(Arc::strong_count(&item) > 10);
        drop(results);
        assert_eq!(Arc::strong_count(&item), 1);
        held.finish().await.unwrap();
    });
    assert_eq!((pool.metrics().queued, pool.metrics().cancelled), (0, 10));
}

#[test]
fn a_pool_that_shuts_down_ends_it_with_an_error_for_each_item() {
    let pool = pool_of(1);
    let mut results = pool.map(0..3, |_, item| item);
    pool.drain_blocking(GIVE_UP);
    run(async {
        for _ in 0..3 {
            assert_eq!(results.next().await, Some(Err(JobError::Refused(Refusal::ShuttingDown))));
        }
        assert_eq!(results.next().await, None);
    });
}

#[test]
fn its_cancellation_ends_what_runs_and_what_is_held_up() {
    let pool = ThreadPool::builder().threads(1).queue_limit(1).build().unwrap();
    let stop = Cancellation::new();
    let begun = Arc::new(AtomicUsize::new(0));
    let inside = begun.clone();
    let mut results = pool.job().cancelled_by(&stop).map(0..5, move |cx, _| {
        inside.fetch_add(1, Ordering::Relaxed);
        until("told to stop", || cx.is_cancelled());
    });
    run(async {
        assert!(tokio::time::timeout(Duration::from_millis(20), results.next()).await.is_err());
        stop.cancel();
        for _ in 0..5 {
            assert_eq!(results.next().await, Some(Err(JobError::Cancelled)));
        }
    });
    assert!(begun.load(Ordering::Relaxed) <= 2);
}

#[test]
fn its_cancellation_ends_it_also_while_nothing_of_it_is_in_the_queue() {
    let pool = ThreadPool::builder().threads(1).queue_limit(1).build().unwrap();
    let held = hold(pool.job());
    let in_the_way = pool.spawn(|_| ());
    let stop = Cancellation::new();
    let mut results = pool.job().cancelled_by(&stop).map(0..2, |_, item| item);
    run(async {
        let (_, result) = tokio::join!(
            async {
                tokio::task::yield_now().await;
                stop.cancel();
            },
            results.next()
        );
        assert_eq!(result, Some(Err(JobError::Cancelled)));
        assert_eq!(results.next().await, Some(Err(JobError::Cancelled)));
        assert_eq!(results.next().await, None);
        held.finish().await.unwrap();
        in_the_way.await.unwrap();
    });
}
