//! The workers do queued work too: on the pools that they have, after the requests, with the permits of the cluster.

use super::terms::BLOBS_UNUSED_FOR;
use crate::app::App;
use crate::config::Working;
use crate::memory::admit_queued;
use crate::tasks::QUEUED;
use phalanx::task::Priority;
use phalanx_queue::JobRunner;
use std::time::Duration;

/// Longest time for what runs when the worker stops; the rest is handed back. (As `phalanx work` has it.)
const LONGEST_DRAIN: Duration = Duration::from_secs(25);
/// Part of the worker's own drain deadline that jobs may use: what is handed back has to be told too.
const PART_OF_DRAIN: f64 = 0.8;

/// Runs jobs until the worker stops, and until what ran then has ended or was handed back.
pub(crate) async fn work_until_stopped(app: App) {
    let queueing = &app.config.queueing;
    if queueing.working == Working::Off || queueing.queue.is_none() {
        return;
    }
    let queue = tokio::select! {
        queue = app.jobs.connected() => queue,
        () = app.worker.shutdown() => return,
    };
    let Some(queue) = queue else { return };
    let runner = app
        .work
        .on_pools(JobRunner::builder(&queue))
        .queues(queueing.names.iter().cloned())
        .kinds(QUEUED)
        .priority(Priority::LOWEST)
        .sweep_blobs_unused_for(BLOBS_UNUSED_FOR)
        .admission({
            let budget = app.budget.clone();
            move |name, input| admit_queued(&budget, name, input).ok()
        })
        .build();
    let runner = match runner {
        Ok(runner) => runner,
        Err(error) => {
            tracing::error!("this worker does no queued work: {error}");
            return;
        }
    };
    app.worker.shutdown().await;
    let within = LONGEST_DRAIN.min(app.config.drain_deadline.mul_f64(PART_OF_DRAIN));
    let handed_back = runner.stop(within).await.jobs;
    if handed_back > 0 {
        tracing::info!(jobs = handed_back, "jobs that did not end in time were handed back");
    }
}
