//! In a process of its own: threads, descriptors and memory belong to all of it.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use phalanx_thread::{Worker, WorkerEvent};

/// What may differ before and after, in bytes. What 1 000 workers leaked would be more, were it 300 bytes each.
const SLACK: u64 = 256 << 10;

#[test]
fn a_thousand_workers_leave_threads_descriptors_and_memory_where_they_were() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        // What the first ones leave for all that follow: arenas, the clock, tables.
        cycle(100).await;
        settle(entries("/proc/self/task"));
        let (descriptors, resident) = (entries("/proc/self/fd"), phalanx_memory::resident().unwrap());
        let threads = entries("/proc/self/task");
        cycle(1_000).await;
        settle(threads);
        assert_eq!(entries("/proc/self/fd"), descriptors);
        let now = phalanx_memory::resident().unwrap();
        assert!(now <= resident + SLACK, "{resident} bytes before, {now} after");
    });
}

async fn cycle(times: u32) {
    for number in 0..times {
        let worker = Worker::<Vec<u8>, Vec<u8>>::builder();
        let worker = if number % 10 == 0 { worker.with_io() } else { worker };
        let worker = worker.spawn((), async |scope| {
            while let Some(message) = scope.recv().await {
                let _ = scope.post(message).await;
            }
        });
        let worker = worker.unwrap();
        worker.post(vec![1; 10_000]).await.unwrap();
        assert_eq!(worker.event().await, Some(WorkerEvent::Online));
        assert!(worker.recv().await.is_some());
        worker.post(vec![2; 10_000]).await.unwrap();
        assert_eq!(worker.terminate().within(Duration::from_secs(30)).await, Ok(1));
    }
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// A thread is still in the table for a moment after its last word.
fn settle(threads: usize) {
    let start = Instant::now();
    while entries("/proc/self/task") > threads {
        assert!(start.elapsed() < Duration::from_secs(30), "{} threads are left", entries("/proc/self/task"));
        std::thread::yield_now();
    }
}
