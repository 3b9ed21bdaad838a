//! In a process of its own: it takes the address space that threads need for their stacks.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use phalanx_thread::{Error, ThreadPool};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const GIVE_UP: Duration = Duration::from_secs(30);
/// Enough for some small allocations, too little for the stack of a thread (2 MiB).
const SLACK: u64 = 1024 * 1024;

/// Sets the limit of the address space just above what is in use.
fn starve() {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    let in_use = pages * rustix::param::page_size() as u64;
    let limit = Rlimit { current: Some(in_use + SLACK), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
}

fn feed() {
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn a_thread_that_cannot_be_started_is_not_the_end_of_the_pool() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let builder = ThreadPool::builder().min_threads(1).max_threads(2).queue_limit(16);
    let pool = builder.clone().build().unwrap();
    let hold = || {
        let (open, opened) = mpsc::channel::<()>();
        let (runs, running) = mpsc::channel();
        let job = pool.spawn(move |_| {
            runs.send(()).unwrap();
            let _ = opened.recv_timeout(GIVE_UP);
        });
        (job, open, running)
    };
    let (first, open_first, first_runs) = hold();
    first_runs.recv_timeout(GIVE_UP).unwrap();

    starve();
    let waiting = pool.spawn(|_| 2);
    let second_pool = builder.build();
    feed();
    assert!(matches!(second_pool, Err(Error::Spawn { .. })), "{second_pool:?}");
    let metrics = pool.metrics();
    assert_eq!((metrics.threads, metrics.failed_starts, metrics.queued), (1, 1, 1));
    assert!(metrics.last_failure.is_some());
    open_first.send(()).unwrap();
    assert_eq!(runtime.block_on(waiting), Ok(2), "the one thread that there is does it");
    runtime.block_on(first).unwrap();

    // Some time later it is tried again.
    let deadline = Instant::now() + GIVE_UP;
    while pool.metrics().threads < 2 || pool.metrics().last_failure.is_some() {
        assert!(Instant::now() < deadline, "it never grows again");
        let jobs = [hold(), hold()];
        for (job, open, _) in jobs {
            drop(open);
            runtime.block_on(job).unwrap();
        }
    }
}
