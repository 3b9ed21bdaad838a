use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use phalanx_shared::{Generation, Owner, Permits, SlotIndex};
use phalanx_thread::{Cancellation, JobError, Phase, ThreadPool};

use crate::gate::{GIVE_UP, hold, pool_of, run, until};

#[test]
fn jobs_borrow_from_the_stack_and_change_what_they_borrow() {
    let pool = pool_of(3);
    let mut numbers: Vec<u64> = (0..10_000).collect();
    let result = pool.scope(|scope| {
        for part in numbers.chunks_mut(100) {
            scope.spawn(move |_| part.iter_mut().for_each(|number| *number *= 2));
        }
    });
    assert_eq!(result, Ok(()));
    assert!(numbers.iter().zip(0..).all(|(number, place)| *number == place * 2));
}

#[test]
fn nothing_is_refused_for_lack_of_room_and_more_jobs_than_the_queue_holds_all_run() {
    let pool = ThreadPool::builder().threads(2).queue_limit(4).build().unwrap();
    let ran = AtomicU32::new(0);
    let count = || {
        pool.scope(|scope| {
            for _ in 0..1000 {
                scope.spawn(|_| ran.fetch_add(1, Ordering::Relaxed));
            }
        })
    };
    assert_eq!(count(), Ok(()));
    assert_eq!(ran.load(Ordering::Relaxed), 1000);
}

#[test]
fn results_that_borrow_come_back_by_join() {
    let pool = pool_of(2);
    let words = ["one".to_owned(), "three".to_owned()];
    let longest = pool.scope(|scope| {
        let found = scope.spawn(|_| words.iter().max_by_key(|word| word.len()));
        found.join()
    });
    assert_eq!(longest, Ok(Ok(Some(&words[1]))));
}

#[test]
fn the_scope_ends_after_its_jobs_also_when_they_and_its_body_panic() {
    let pool = pool_of(2);
    let ended = AtomicU32::new(0);
    let held = hold(pool.job());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _: Result<(), _> = pool.scope(|scope| {
            for number in 0..10 {
                let ended = &ended;
                scope.spawn(move |_| {
                    ended.fetch_add(1, Ordering::Relaxed);
                    assert!(number % 2 == 0, "expected");
                });
            }
            panic!("expected: the body");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(ended.load(Ordering::Relaxed), 10);
    run(held.finish()).unwrap();
    assert_eq!(pool.metrics().panicked, 5);
}

#[test]
fn the_error_of_a_job_that_nobody_joined_is_the_scopes() {
    let pool = pool_of(2);
    let result = pool.scope(|scope| {
        (0..200).for_each(|number| drop(scope.spawn(move |_| assert!(number != 7, "number {number}"))));
        let joined = scope.spawn(|_| panic!("joined"));
        assert!(joined.join().map(|(): ()| ()).is_err());
    });
    assert!(matches!(result, Err(JobError::Panicked { message, .. }) if message.contains("number 7")));
}

#[test]
fn a_pool_of_one_thread_does_not_wait_for_itself() {
    let pool = pool_of(1);
    let inside = pool.clone();
    // Each level waits for the one below, all on one thread.
    fn depth(pool: &ThreadPool, levels: u32) -> u32 {
        if levels == 0 {
            return 0;
        }
        let below = pool.scope(|scope| {
            let first = scope.spawn(move |_| depth(pool, levels - 1));
            scope.spawn(move |_| depth(pool, levels - 1));
            first.join().unwrap()
        });
        below.unwrap() + 1
    }
    assert_eq!(run(pool.spawn(move |_| depth(&inside, 6))), Ok(6));
}

#[test]
fn jobs_of_a_scope_submit_more_to_it() {
    let pool = pool_of(2);
    let inside = pool.clone();
    let nested = move || {
        let ran = AtomicU32::new(0);
        let result = inside.scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|_| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    scope.spawn(|_| {
                        ran.fetch_add(1, Ordering::Relaxed);
                        scope.spawn(|_| ran.fetch_add(1, Ordering::Relaxed));
                    });
                });
            }
        });
        result.map(|()| ran.into_inner())
    };
    assert_eq!(nested(), Ok(24), "from outside");
    // Every thread of the pool waits for the end of a scope at the same time.
    let from_inside = [nested.clone(), nested.clone(), nested].map(|nested| pool.spawn(move |_| nested()));
    run(async {
        for job in from_inside {
            assert_eq!(job.await, Ok(Ok(24)));
        }
    });
}

#[test]
fn a_cancelled_or_late_job_of_a_scope_is_dropped_before_the_scope_ends() {
    struct Borrower<'b>(&'b Mutex<Vec<&'static str>>);
    impl Drop for Borrower<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("dropped");
        }
    }
    let pool = pool_of(1);
    let log = Mutex::new(Vec::new());
    let held = hold(pool.job());
    let stop = Cancellation::new();
    let result = pool.job().cancelled_by(&stop).scope(|scope| {
        let borrower = Borrower(&log);
        let job = scope.spawn(move |_| drop(borrower));
        stop.cancel();
        job.join()
    });
    assert_eq!(result, Ok(Err(JobError::Cancelled)));
    assert_eq!(log.lock().unwrap().len(), 1);
    let late = pool.job().deadline_from_submit(Duration::from_millis(5)).scope(|scope| {
        let borrower = Borrower(&log);
        // Nobody keeps the handle.
        drop(scope.spawn(move |_| drop(borrower)));
    });
    assert_eq!(late, Err(JobError::TimedOut(Phase::Queue)));
    assert_eq!(log.lock().unwrap().len(), 2);
    run(held.finish()).unwrap();
}

#[test]
fn a_scope_in_a_pool_that_is_given_up_ends_too() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let other = pool.clone();
    std::thread::scope(|threads| {
        let scope = threads.spawn(|| pool.scope(|scope| scope.spawn(|_| 1).join()));
        until("queued", || other.metrics().queued == 1);
        assert_eq!(other.drain_blocking(Duration::ZERO).queued, 1);
        assert!(matches!(scope.join().unwrap(), Ok(Err(JobError::Refused(_)))));
    });
    held.open();
    let after = pool.scope(|scope| scope.spawn(|_| 1).join());
    assert!(matches!(after, Ok(Err(JobError::Refused(_)))));
}

#[test]
fn a_job_that_drains_finishes_its_scope() {
    let pool = pool_of(1);
    let inside = pool.clone();
    let (begun, running) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel();
    let job = pool.spawn(move |_| {
        begun.send(()).unwrap();
        gone.recv_timeout(GIVE_UP).unwrap();
        inside.scope(|scope| scope.spawn(|_| 5).join())
    });
    running.recv_timeout(GIVE_UP).unwrap();
    run(async {
        let drain = pool.drain(GIVE_UP);
        go.send(()).unwrap();
        assert_eq!(job.await, Ok(Ok(Ok(5))));
        assert_eq!(drain.await.running, 0);
    });
}

#[test]
fn a_thread_lends_its_permit_out_while_it_waits_for_its_scope() {
    let permits = Permits::create(1).unwrap();
    let owner = Owner::new(SlotIndex(0), Generation(1));
    let pool = ThreadPool::builder().threads(2).permits(permits.clone(), owner).build().unwrap();
    let inside = pool.clone();
    let job = pool.spawn(move |_| {
        inside.scope(|scope| {
            let (begun, has_begun) = std::sync::mpsc::channel();
            let job = scope.spawn(move |_| begun.send(permits.in_use()).unwrap());
            // Begun by the other thread, after its patience; so this one cannot run it itself.
            let in_use = has_begun.recv_timeout(GIVE_UP).unwrap();
            job.join().unwrap();
            in_use
        })
    });
    assert_eq!(run(job), Ok(Ok(1)));
}
