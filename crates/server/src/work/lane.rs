//! [`Lane`]: one pool of this worker, of threads or of processes, seen the same way.

use super::occupancy::Places;
use phalanx::Task;
use phalanx::task::{self, Executor, ProcessPool, Refusal, Submission, SubmitOptions};
use phalanx::thread::{self, ThreadPool};
use phalanx_queue::JobRunnerBuilder;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A pool and those who are in it.
pub(super) struct Lane {
    pool: Pool,
    places: Arc<Places>,
}

enum Pool {
    Threads(ThreadPool),
    Processes(ProcessPool),
}

/// A place in the line before a lane; dropped when the work is submitted.
#[must_use = "the place is kept until this is dropped"]
#[allow(dead_code, reason = "it is held, never looked at")]
pub(crate) enum Admission {
    Thread(thread::Admission),
    Process(task::Admission),
}

impl Lane {
    pub(super) fn threads(pool: ThreadPool, most: u32) -> Lane {
        Lane { pool: Pool::Threads(pool), places: Places::new(most) }
    }

    pub(super) fn processes(pool: ProcessPool, most: u32) -> Lane {
        Lane { pool: Pool::Processes(pool), places: Places::new(most) }
    }

    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    pub(super) fn admit(&self, cost: Duration) -> Result<Admission, Refusal> {
        match &self.pool {
            Pool::Threads(pool) => pool.admit(cost).map(Admission::Thread).map_err(Refusal::from),
            Pool::Processes(pool) => pool.admit(cost).map(Admission::Process),
        }
    }

    pub(super) fn submit<T: Task>(&self, task: T, terms: SubmitOptions) -> Submission<T::Output> {
        match &self.pool {
            Pool::Threads(pool) => pool.submit_with(task, terms),
            Pool::Processes(pool) => pool.submit_with(task, terms),
        }
    }

    /// A runner of jobs that works here, on all threads or processes but one: a request that comes finds that one free, however long a
    /// job takes.
    pub(super) fn runs_for(&self, runner: JobRunnerBuilder) -> JobRunnerBuilder {
        let runner = runner.concurrency(self.places.most_running().saturating_sub(1).max(1));
        match &self.pool {
            Pool::Threads(pool) => runner.on_threads(pool.clone(), crate::tasks::registry()),
            Pool::Processes(pool) => runner.on_processes(pool.clone()),
        }
    }

    /// For `/readyz`.
    pub(super) fn state(&self) -> Value {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        match &self.pool {
            Pool::Threads(pool) => {
                let metrics = pool.metrics();
                json!({
                    "threads": metrics.threads,
                    "queued": metrics.queued,
                    "running": metrics.running,
                    "predicted_wait_ms": milliseconds(metrics.predicted_wait),
                })
            }
            Pool::Processes(pool) => {
                let metrics = pool.metrics();
                json!({
                    "processes": metrics.processes,
                    "queued": metrics.queued,
                    "running": metrics.running,
                    "crashes": metrics.crashed,
                    "poisoned": metrics.poisoned,
                    "predicted_wait_ms": milliseconds(metrics.predicted_wait),
                })
            }
        }
    }
}
