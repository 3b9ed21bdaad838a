use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use phalanx_thread::{JobError, ThreadPool};

use crate::gate::{GIVE_UP, hold, run, until};

struct Decoder {
    number: u32,
    /// Not to be sent to another thread: it never is.
    uses: Cell<u32>,
}

fn counted(made: &Arc<AtomicU32>) -> impl Fn() -> Result<Decoder, String> + Send + Sync + 'static {
    let made = made.clone();
    move || Ok(Decoder { number: made.fetch_add(1, Ordering::Relaxed), uses: Cell::new(0) })
}

#[test]
fn each_thread_prepares_once_and_lends_it_to_all_its_jobs() {
    let made = Arc::new(AtomicU32::new(0));
    let pool = ThreadPool::builder().threads(2).init(counted(&made)).build().unwrap();
    let both = [hold(pool.job()), hold(pool.job())];
    run(async {
        for job in both {
            job.finish().await.unwrap();
        }
        let mut uses = [0; 2];
        for _ in 0..100 {
            let used = pool.spawn(|cx| {
                cx.with_state(|decoder: &mut Decoder| {
                    decoder.uses.set(decoder.uses.get() + 1);
                    assert!(cx.with_state(|_: &mut Decoder| ()).is_none(), "it is lent once at a time");
                    (decoder.number, decoder.uses.get())
                })
            });
            let (number, used) = used.await.unwrap().unwrap();
            uses[number as usize] += 1;
            assert_eq!(used, uses[number as usize]);
        }
        assert_eq!(pool.spawn(|cx| cx.with_state(|_: &mut String| ())).await, Ok(None), "init makes no String");
    });
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[test]
fn a_state_whose_user_panicked_is_made_anew_before_the_next_job() {
    let made = Arc::new(AtomicU32::new(0));
    let pool = ThreadPool::builder().threads(1).init(counted(&made)).build().unwrap();
    let number = || pool.spawn(|cx| cx.with_state(|decoder: &mut Decoder| decoder.number).unwrap());
    run(async {
        assert_eq!(number().await, Ok(0));
        let broken = pool.spawn(|cx| cx.with_state(|_: &mut Decoder| panic!("half done")));
        let waiting = number();
        assert!(matches!(broken.await, Err(JobError::Panicked { .. })));
        assert_eq!(waiting.await, Ok(1));
        assert!(pool.spawn(|_| panic!("elsewhere")).await.map(|(): ()| ()).is_err());
        assert_eq!(number().await, Ok(1), "a panic outside of it does it no harm");
    });
}

#[test]
fn jobs_wait_while_a_thread_whose_init_panics_or_fails_is_replaced() {
    let tries = Arc::new(AtomicU32::new(0));
    let inside = tries.clone();
    let init = move || match inside.fetch_add(1, Ordering::Relaxed) {
        0 => panic!("expected"),
        1..=3 => Err("not yet"),
        _ => Ok(7_u32),
    };
    let pool = ThreadPool::builder().threads(1).init(init).build().unwrap();
    let job = pool.spawn(|cx| cx.with_state(|state: &mut u32| *state));
    assert_eq!(run(job), Ok(Some(7)));
    let metrics = pool.metrics();
    assert_eq!((metrics.failed_starts, metrics.last_failure, metrics.threads), (4, None, 1));
}

#[test]
fn after_failures_in_a_row_jobs_hear_why_and_a_later_one_tries_again() {
    let works = Arc::new(AtomicU32::new(0));
    let inside = works.clone();
    let init = move || match inside.load(Ordering::Relaxed) {
        0 => Err("the model is not there: /models/a.bin"),
        _ => Ok(()),
    };
    let pool = ThreadPool::builder().threads(2).init(init).build().unwrap();
    run(async {
        let error = pool.spawn(|_| ()).await.unwrap_err();
        assert!(matches!(&error, JobError::NoThread { reason } if reason.contains("/models/a.bin")), "{error}");
        until("all gave up", || pool.metrics().threads == 0);
        let at_once = pool.spawn(|_| ()).await;
        assert!(matches!(at_once, Err(JobError::NoThread { .. })));
        let metrics = pool.metrics();
        assert!(metrics.failed_starts >= 5 && metrics.last_failure.is_some_and(|why| why.contains("/models/a.bin")));
        assert_eq!((metrics.queued, metrics.running), (0, 0));

        works.store(1, Ordering::Relaxed);
        let deadline = std::time::Instant::now() + GIVE_UP;
        while pool.spawn(|_| ()).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "it never tries again");
        }
        assert_eq!(pool.metrics().last_failure, None);
    });
}

#[test]
fn a_pool_without_threads_still_drains_and_is_dropped() {
    let init = || Err::<(), _>("never");
    let pool = ThreadPool::builder().threads(1).init(init).build().unwrap();
    let job = pool.spawn(|_| ());
    assert_eq!(pool.drain_blocking(GIVE_UP).running, 0);
    assert!(run(job).is_err());
}

#[test]
fn a_state_that_panics_when_it_is_dropped_takes_nobody_along() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("expected");
        }
    }
    let pool = ThreadPool::builder().threads(2).init(|| Ok::<_, String>(Bad)).build().unwrap();
    assert_eq!(run(pool.spawn(|cx| cx.with_state(|_: &mut Bad| 1))), Ok(Some(1)));
    assert_eq!(pool.drain_blocking(GIVE_UP).running, 0);
}

#[test]
fn a_drained_pool_has_let_go_of_what_its_threads_prepared() {
    let connection = Arc::new(());
    let inside = connection.clone();
    let pool = ThreadPool::builder().threads(3).init(move || Ok::<_, String>(inside.clone())).build().unwrap();
    run(pool.spawn(|cx| cx.with_scratch(|_: &mut Vec<u8>| ()))).unwrap();
    until("all are ready", || Arc::strong_count(&connection) == 5);
    assert_eq!(pool.drain_blocking(GIVE_UP).running, 0);
    assert_eq!(Arc::strong_count(&connection), 2, "only the test and init itself");
}
