//! The role of a producer: submits numbered jobs, some at a time, and says of each what it was told.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use phalanx_queue::job::{NewJob, Submitted, Work};
use phalanx_queue::{Error, JobEnd, JobId, Queue, QueueName, RetryPolicy, payload};
use phalanx_task::{Packed, Task};

use crate::ledger::Word;
use crate::part;
use crate::random::Random;
use crate::task::{self, Mark};

/// Jobs that one producer has on their way.
const AT_ONCE: u64 = 16;
/// How long one job is submitted again and again, under the same id, before the producer gives up and says that it is unsure.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a result is waited for.
const RESULT: Duration = Duration::from_secs(240);
/// Longest work of a job.
const BUSY: Duration = Duration::from_millis(4);
/// Kills are no fault of the job: it is not given up for them.
const CRASHES: u32 = 10_000;
/// The queue of all of them.
pub(crate) const QUEUE: &str = "storm";

/// What a producer is told.
pub(crate) struct Orders {
    pub(crate) url: String,
    pub(crate) first: u64,
    pub(crate) runs: PathBuf,
    pub(crate) seed: u64,
}

/// Submits until it is told to be calm, and then waits for results until it is killed.
pub(crate) async fn produce(orders: Orders) -> Result<(), String> {
    let queue = connected(&orders.url).await;
    let next = Arc::new(AtomicU64::new(orders.first));
    let orders = Arc::new(orders);
    let lines: Vec<_> = (0..AT_ONCE)
        .map(|line| {
            let (queue, next, orders) = (queue.clone(), next.clone(), orders.clone());
            tokio::spawn(async move {
                let mut random = Random::new(orders.seed, &format!("line {line}"));
                while !part::is_calm() {
                    one(&queue, next.fetch_add(1, Ordering::Relaxed), &orders, &mut random).await?;
                }
                Ok::<(), String>(())
            })
        })
        .collect();
    for line in lines {
        line.await.map_err(|error| error.to_string())??;
    }
    // What it has on the way stays there: the arbiter ends this process.
    std::future::pending().await
}

/// A broker that was struck comes back.
pub(crate) async fn connected(url: &str) -> Queue {
    loop {
        match Queue::connect(url).await {
            Ok(queue) => return queue,
            Err(error) => {
                eprintln!("storm: cannot connect yet: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn one(queue: &Queue, number: u64, orders: &Orders, random: &mut Random) -> Result<(), String> {
    // Mostly small ones, now and then one that is larger than a page.
    let ballast = if random.below(16) == 0 { random.below(40_000) } else { random.below(200) };
    let mark = Mark { number, file: orders.runs.clone(), busy: random.duration(BUSY), ballast: vec![0x5a; ballast] };
    let packed = Packed::of(&mark).map_err(|error| error.to_string())?;
    let bytes = payload::pack(packed, queue.blobs()).await.map_err(|error| error.to_string())?;
    let name = QueueName::new(QUEUE).map_err(|error| error.to_string())?;
    let mut job = NewJob::new(name, Mark::NAME, bytes);
    job.retry = RetryPolicy::default().attempts(50).crashes(CRASHES);
    job.awaited = true;
    let id = job.id;
    say(Word::Offered(number, id.to_string()));
    if !confirmed(queue, job).await? {
        say(Word::Unsure(number));
        return Ok(());
    }
    say(Word::Confirmed(number, id.to_string()));
    match ended(queue, id).await {
        Some(JobEnd::Done(result)) => say(Word::Ended(number, task::unpacked(queue, &result).await?)),
        Some(JobEnd::Dead(error)) => say(Word::Failed(number, payload::as_error(&error).to_string())),
        Some(JobEnd::Cancelled) => say(Word::Failed(number, "cancelled".to_owned())),
        // Without a state store a reply may be lost with the broker; the run itself is what counts.
        None => {}
    }
    Ok(())
}

async fn confirmed(queue: &Queue, job: NewJob) -> Result<bool, String> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match queue.store().submit(vec![Work::Job(job.clone())]).await.map(|mut each| each.pop()) {
            Ok(Some(Ok(Submitted::Taken(_)))) => return Ok(true),
            Ok(Some(Err(Error::Full { .. }))) | Err(Error::Unavailable { .. }) => tokio::time::sleep(PAUSE).await,
            Ok(Some(Err(Error::Unavailable { .. }))) => tokio::time::sleep(PAUSE).await,
            other => return Err(format!("a submission was answered with {other:?}")),
        }
    }
    Ok(false)
}

async fn ended(queue: &Queue, id: JobId) -> Option<JobEnd> {
    let began = Instant::now();
    while began.elapsed() < RESULT {
        match queue.store().ended(id, Duration::from_secs(5)).await {
            Ok(Some(end)) => return Some(end),
            Ok(None) => {}
            Err(Error::Unavailable { .. }) => tokio::time::sleep(PAUSE).await,
            Err(_) => return None,
        }
    }
    None
}

/// One write for each line: a killed producer leaves no half of two.
fn say(word: Word) {
    use std::io::Write;
    // Without an arbiter the process ends anyway.
    let _ = std::io::stdout().write_all(format!("{}\n", word.line()).as_bytes());
    let _ = std::io::stdout().flush();
}
