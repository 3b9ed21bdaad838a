//! A worker thread sums a range that it gets as its worker data.
//!
//! `cargo run --release --example thread_sum`

use std::error::Error;

use phalanx::thread::Worker;

struct Range {
    start: u64,
    end: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let range = Range { start: 0, end: 1_000_000 };
    let worker = Worker::<(), u64>::spawn(range, async |scope| {
        let Range { start, end } = *scope.worker_data();
        scope.post((start..end).sum()).await
    })?;
    let sum = worker.recv().await.ok_or("the worker ended without a sum")?;
    println!("{sum}");
    Ok(())
}
