//! The role of a worker: runs jobs until it is killed.

use phalanx_queue::{Isolate, JobRunner, QueueName};
use phalanx_task::tasks;

use crate::producer::{QUEUE, connected};
use crate::task::Mark;

/// Jobs at once.
const CONCURRENCY: usize = 4;

/// Where a worker runs its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    Threads,
    Processes,
}

/// Runs jobs for ever: the arbiter ends this process.
pub(crate) async fn work(url: &str, place: Place) -> Result<(), String> {
    let queue = connected(url).await;
    let isolate = match place {
        Place::Threads => Isolate::Threads,
        Place::Processes => Isolate::Processes,
    };
    let name = QueueName::new(QUEUE).map_err(|error| error.to_string())?;
    let runner = JobRunner::builder(&queue)
        .registry(tasks![Mark])
        .queues([name])
        .isolate(isolate)
        .concurrency(CONCURRENCY)
        .build()
        .map_err(|error| error.to_string())?;
    let _running = runner;
    std::future::pending().await
}
