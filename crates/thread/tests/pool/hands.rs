//! Tiny jobs are taken several at a time. What that must not cost: a job that a stuck thread has taken along belongs to
//! everybody still.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use phalanx_thread::{JobError, Phase, Refusal, Submission, ThreadPool};

use crate::gate::{GIVE_UP, Held, hold, pool_of, run, until};

const TINY: Duration = Duration::from_micros(1);
const BEHIND: usize = 20;

/// Two threads: one is stuck in a job that was said to be tiny, and has taken its share of those behind it along; the
/// other is still held.
struct Stuck {
    pool: ThreadPool,
    stuck: Held,
    other: Held,
    behind: Vec<Submission<usize>>,
    ran: Arc<AtomicUsize>,
}

fn one_is_stuck(job: impl Fn(&ThreadPool) -> phalanx_thread::JobBuilder<'_>) -> Stuck {
    let pool = pool_of(2);
    let held = hold(pool.job().cost(TINY));
    let other = hold(pool.job().cost(TINY));
    let (open, opened) = mpsc::channel();
    let (runs, running) = mpsc::channel();
    let submission = pool.job().cost(TINY).spawn(move |cx| {
        runs.send(()).unwrap();
        let _ = opened.recv_timeout(GIVE_UP);
        cx.is_cancelled()
    });
    let ran = Arc::new(AtomicUsize::new(0));
    let behind = (0..BEHIND)
        .map(|_| {
            let ran = ran.clone();
            job(&pool).cost(TINY).spawn(move |_| ran.fetch_add(1, Ordering::Relaxed))
        })
        .collect();
    run(held.finish()).unwrap();
    running.recv_timeout(GIVE_UP).unwrap();
    Stuck { pool, stuck: Held { submission, open }, other, behind, ran }
}

#[test]
fn what_a_stuck_thread_has_taken_along_is_run_by_another() {
    let Stuck { pool, stuck, other, behind, ran } = one_is_stuck(ThreadPool::job);
    assert_eq!((pool.metrics().queued, pool.metrics().running), (BEHIND, 2), "they wait, wherever they are");
    assert_eq!(pool.metrics().queued_by_priority.iter().sum::<usize>(), BEHIND);
    run(async {
        other.finish().await.unwrap();
        for job in behind {
            job.await.unwrap();
        }
        assert_eq!(ran.load(Ordering::Relaxed), BEHIND);
        assert!(!stuck.submission.is_finished());
        stuck.finish().await.unwrap();
    });
    assert_eq!((pool.metrics().queued, pool.metrics().completed), (0, BEHIND as u64 + 3));
    until("the pool counts nothing any more", || pool.metrics().running == 0);
}

#[test]
fn what_a_stuck_thread_has_taken_along_is_cancelled_as_what_is_queued() {
    let Stuck { pool, stuck, other, behind, ran } = one_is_stuck(ThreadPool::job);
    drop(behind);
    assert_eq!(Arc::strong_count(&ran), 1, "all that they captured is freed");
    assert_eq!((pool.metrics().queued, pool.metrics().cancelled), (0, BEHIND as u64));
    run(async {
        other.finish().await.unwrap();
        stuck.finish().await.unwrap();
        pool.spawn(|_| ()).await.unwrap();
    });
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[test]
fn what_a_stuck_thread_has_taken_along_hears_of_its_deadline() {
    fn soon(pool: &ThreadPool) -> phalanx_thread::JobBuilder<'_> {
        pool.job().deadline_from_submit(Duration::from_millis(30))
    }
    let Stuck { pool, stuck, other, behind, ran } = one_is_stuck(soon);
    run(async {
        for job in behind {
            assert_eq!(job.await, Err(JobError::TimedOut(Phase::Queue)));
        }
        other.finish().await.unwrap();
        stuck.finish().await.unwrap();
    });
    assert_eq!((pool.metrics().timed_out, ran.load(Ordering::Relaxed)), (BEHIND as u64, 0));
}

#[test]
fn what_a_stuck_thread_has_taken_along_is_refused_when_the_pool_gives_up() {
    let Stuck { pool, stuck, other, behind, ran } = one_is_stuck(ThreadPool::job);
    run(async {
        let leftover = pool.drain(Duration::ZERO).await;
        assert_eq!((leftover.queued, leftover.running), (BEHIND, 2));
        for job in behind {
            assert_eq!(job.await, Err(JobError::Refused(Refusal::ShuttingDown)));
        }
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        other.open();
        stuck.open();
    });
    until("the threads end", || pool.metrics().threads == 0);
}

#[test]
fn a_flood_of_tiny_jobs_from_many_threads_runs_each_once() {
    let pool = ThreadPool::builder().threads(3).queue_limit(100_000).build().unwrap();
    let runs: Arc<Vec<AtomicUsize>> = Arc::new((0..30_000).map(|_| AtomicUsize::new(0)).collect());
    std::thread::scope(|scope| {
        for third in 0..3 {
            let (pool, runs) = (pool.clone(), runs.clone());
            scope.spawn(move || {
                run(async {
                    let jobs: Vec<_> = (third * 10_000..(third + 1) * 10_000)
                        .map(|name| {
                            let runs = runs.clone();
                            let job = pool.job().cost(TINY);
                            let submission = job.spawn(move |_| runs[name].fetch_add(1, Ordering::Relaxed));
                            // Each tenth is given up, wherever it is by then.
                            if name % 10 == 0 {
                                submission.cancel()
                            }
                            submission
                        })
                        .collect();
                    for (name, job) in jobs.into_iter().enumerate() {
                        match job.await {
                            Ok(before) => assert_eq!(before, 0),
                            Err(error) => assert!(name % 10 == 0 && error == JobError::Cancelled, "{error}"),
                        }
                    }
                });
            });
        }
    });
    let metrics = pool.metrics();
    assert_eq!((metrics.queued, metrics.completed + metrics.cancelled), (0, 30_000));
    assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) <= 1));
}
