//! A pool whose jobs have deadlines and can be cancelled: nothing runs that nobody waits for.
//!
//! `cargo run --release --example pool_deadline`

use std::error::Error;
use std::time::Duration;

use phalanx::thread::{JobError, Phase, ThreadPool};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let pool = ThreadPool::builder().name("example").threads(1).build()?;

    // It never ends by itself, but it asks whether it should.
    let endless = || {
        pool.job().deadline_from_start(Duration::from_millis(50)).spawn(|job| {
            let mut rounds = 0_u64;
            while !job.is_cancelled() {
                rounds += 1;
            }
            rounds
        })
    };
    let too_long = endless();
    // Waits behind it for longer than it may: dropped unrun.
    let too_late =
        pool.job().deadline_from_submit(Duration::from_millis(10)).spawn(|_| unreachable!("too late to run"));
    assert_eq!(too_late.await, Err::<(), _>(JobError::TimedOut(Phase::Queue)));
    println!("a job that waited too long never ran");
    assert_eq!(too_long.await, Err(JobError::TimedOut(Phase::Run)));
    println!("a job that ran too long was told to stop");

    let unwanted = endless();
    unwanted.cancel();
    assert_eq!(unwanted.await, Err(JobError::Cancelled));

    let sum = pool.spawn(|_| (1..=100_u64).sum::<u64>()).await?;
    let metrics = pool.metrics();
    println!("sum {sum}; {} done, {} timed out, {} cancelled", metrics.completed, metrics.timed_out, metrics.cancelled);
    Ok(())
}
