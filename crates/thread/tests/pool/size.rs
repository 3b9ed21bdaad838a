use std::time::Duration;

use phalanx_thread::{Error, ThreadPool};

use crate::gate::{GIVE_UP, hold, run, until};

fn elastic(most: usize, idle_timeout: Duration) -> ThreadPool {
    ThreadPool::builder().min_threads(1).max_threads(most).idle_timeout(idle_timeout).build().unwrap()
}

#[test]
fn a_pool_grows_when_jobs_wait_and_nobody_is_idle_up_to_its_most() {
    let pool = elastic(3, GIVE_UP);
    assert_eq!((pool.metrics().threads, pool.metrics().min_threads, pool.metrics().max_threads), (1, 1, 3));
    let held = [hold(pool.job()), hold(pool.job()), hold(pool.job())];
    let waiting = pool.spawn(|_| 4);
    assert_eq!((pool.metrics().threads, pool.metrics().running, pool.metrics().queued), (3, 3, 1));
    run(async {
        for job in held {
            job.finish().await.unwrap();
        }
        assert_eq!(waiting.await, Ok(4));
    });
}

#[test]
fn one_thread_is_enough_for_jobs_that_come_one_after_the_other() {
    let pool = elastic(8, GIVE_UP);
    run(async {
        for _ in 0..200 {
            pool.spawn(|_| ()).await.unwrap();
            until("idle", || pool.metrics().running == 0);
        }
    });
    // Whoever comes while the thread is on its way to sleep may call a second one.
    assert!(pool.metrics().threads <= 2, "{}", pool.metrics().threads);
}

#[test]
fn threads_that_nobody_needs_end_but_for_the_least_number_and_come_back() {
    let pool = elastic(4, Duration::from_millis(5));
    for _ in 0..3 {
        let held: Vec<_> = (0..4).map(|_| hold(pool.job())).collect();
        assert_eq!(pool.metrics().threads, 4);
        run(async {
            for job in held {
                job.finish().await.unwrap();
            }
        });
        until("shrunk", || pool.metrics().threads == 1);
    }
    assert_eq!(run(pool.spawn(|_| 5)), Ok(5));
}

#[test]
fn a_pool_that_shrinks_at_every_moment_loses_no_job() {
    let pool = elastic(4, Duration::ZERO);
    run(async {
        for round in 0..5_000_u32 {
            let jobs = [pool.spawn(move |_| round), pool.spawn(move |_| round + 1)];
            for (number, job) in (0..).zip(jobs) {
                assert_eq!(job.await, Ok(round + number));
            }
        }
    });
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.wait.count()), (10_000, 10_000), "records outlive their threads");
    assert!(metrics.lived >= metrics.busy && metrics.utilisation() <= 1.0);
}

#[test]
fn a_grown_pool_predicts_with_the_threads_that_it_may_have() {
    let second = Duration::from_secs(1);
    let builder = ThreadPool::builder().min_threads(1).max_threads(2).max_wait(second * 100);
    let pool = builder.build().unwrap();
    let held = hold(pool.job().cost(second));
    assert_eq!(pool.predicted_wait(), Duration::ZERO, "a second thread would be started");
    let other = hold(pool.job().cost(second));
    assert!(pool.predicted_wait() > Duration::ZERO);
    held.open();
    other.open();
}

#[test]
fn threads_run_on_the_processors_that_were_asked_for() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let cpu = (0..rustix::thread::CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu)).unwrap();
    let pool = ThreadPool::builder().name("affine").threads(2).affinity([cpu]).build().unwrap();
    let status = |_: &phalanx_thread::JobContext| std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let status = run(pool.spawn(status)).unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    assert_eq!(list.trim(), cpu.to_string());
}

#[test]
fn processors_that_there_are_not_are_refused_with_those_that_there_are() {
    for wrong in [vec![usize::MAX], vec![1023], vec![]] {
        let error = ThreadPool::builder().affinity(wrong).build().unwrap_err();
        assert!(matches!(error, Error::Setting { name: "affinity", .. }), "{error}");
    }
}

#[test]
fn more_least_threads_than_most_are_refused_and_one_of_both_is_enough() {
    let error = ThreadPool::builder().min_threads(3).max_threads(2).build().unwrap_err();
    assert!(error.to_string().contains("min_threads"), "{error}");
    assert!(ThreadPool::builder().min_threads(0).build().is_err());
    assert_eq!(ThreadPool::builder().max_threads(1).build().unwrap().metrics().min_threads, 1);
    assert_eq!(ThreadPool::builder().min_threads(64).build().unwrap().metrics().max_threads, 64);
}
