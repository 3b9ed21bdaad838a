//! Jobs with an idempotency key.

use std::time::Duration;

use phalanx_thread::{JobContext, JobError, Refusal, Submission, ThreadPool};

use crate::gate::{GIVE_UP, hold, pool_of, run, until};

const KEY: &str = "invoice 7";

fn once<T: Send + 'static>(pool: &ThreadPool, work: impl FnOnce(&JobContext) -> T + Send + 'static) -> Submission<T> {
    pool.job().spawn_once(KEY, work)
}

fn is_in_use(pool: &ThreadPool) -> bool {
    run(once(pool, |_| ())) == Err(JobError::Refused(Refusal::Duplicate))
}

#[test]
fn a_key_is_in_use_while_its_job_waits_or_runs_and_free_when_its_caller_knows_the_end() {
    let pool = pool_of(1);
    let held = hold(pool.job());
    let waiting = once(&pool, |_| 7);
    assert!(is_in_use(&pool));
    assert_eq!(run(async { (held.finish().await, waiting.await) }), (Ok(false), Ok(7)));
    for _ in 0..1000 {
        assert!(!is_in_use(&pool));
    }
    assert!(matches!(run(once(&pool, |_| panic!("expected"))), Err::<(), _>(JobError::Panicked { .. })));
    assert!(!is_in_use(&pool));
    assert_eq!(pool.metrics().refused, 1);
}

#[test]
fn a_key_is_free_when_its_job_will_never_run() {
    let pool = ThreadPool::builder().threads(1).queue_limit(1).build().unwrap();
    let held = hold(pool.job());
    drop(once(&pool, |_| ()));
    let cancelled = once(&pool, |_| ());
    cancelled.cancel();
    let late = pool.job().deadline_from_submit(Duration::from_millis(1)).spawn_once(KEY, |_| ());
    assert!(matches!(run(late), Err(JobError::TimedOut(_))));
    let waiting = pool.spawn(|_| ());
    assert!(matches!(run(once(&pool, |_| ())), Err(JobError::Refused(Refusal::Full { .. }))));
    drop(waiting);
    let taken = once(&pool, |_| ());
    assert_eq!(run(async { (held.finish().await, taken.await) }), (Ok(false), Ok(())));
}

#[test]
fn a_key_stays_in_use_while_a_job_that_was_told_to_stop_goes_on() {
    let pool = pool_of(2);
    let (open, opened) = std::sync::mpsc::channel();
    let (begun, begins) = std::sync::mpsc::channel();
    let deaf = once(&pool, move |_| {
        begun.send(()).unwrap();
        opened.recv_timeout(GIVE_UP)
    });
    begins.recv_timeout(GIVE_UP).unwrap();
    deaf.cancel();
    assert!(matches!(run(deaf), Err(JobError::Cancelled)));
    assert!(is_in_use(&pool));
    open.send(()).unwrap();
    until("the key is free", || !is_in_use(&pool));
}
