//! [`JobProcesses`]: the processes in which pictures of strangers are decoded, and what they say of themselves: in the log, on
//! the scoreboard (so in `phalanx ctl status` and `/metrics`), and in `/readyz`.

use super::lane::Lane;
use crate::config::{Config, Isolation, Sandboxing};
use crate::serve::AnyError;
use crate::tasks::kept_bytes;
use phalanx::shared::Field;
use phalanx::task::{Confinement, PoolError, PoolEvent, ProcessPool, SandboxPolicy};
use phalanx::{DoNotRestart, Worker};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// What a job process needs besides the memory of one picture: the program, what its allocator keeps, and the buffers of the
/// pictures before (`image::SCRATCH_KEEPS_BYTES`, 64 MiB).
const HEAD_ROOM_BYTES: u64 = 256 << 20;
/// The program in a job process, its tables, and the beginnings of the files through which pictures come and go: 64 MiB.
const RESTING_BYTES: u64 = 64 << 20;
/// What is in the input of a task besides the picture; the wish has less than a hundred bytes.
const WISH_BYTES: u64 = 4096;
/// The figures on the scoreboard are no older than this.
const FIGURES_EVERY: Duration = Duration::from_secs(1);

/// A pool of job processes, and how to look at it.
pub(super) struct JobProcesses {
    lane: Lane,
    pool: ProcessPool,
}

impl JobProcesses {
    /// Starts the first of them. It must be called within a runtime.
    pub(super) fn start(config: &Config, worker: &Worker) -> Result<Self, AnyError> {
        let (permits, owner) = worker.permits();
        let changed = Arc::new(Notify::new());
        let change = Arc::clone(&changed);
        let pool = ProcessPool::builder()
            .name("pictures")
            .max_processes(config.job_processes as usize)
            .max_wait(config.max_wait)
            .standing_wait(config.standing_wait)
            .permits(permits, owner)
            .data_limit(data_limit(config.job_memory_bytes))
            .max_input(config.body.bytes.saturating_add(WISH_BYTES))
            .max_output(config.job_memory_bytes)
            .max_memory(resting_limit(config.job_bytes()))
            .sandbox(SandboxPolicy::from(config.sandboxing))
            .on_event(move |event| {
                log(event);
                change.notify_one();
            })
            .build()
            .map_err(cannot_start)?;
        tell(&pool, "pictures are decoded");
        publish(&pool, worker);
        tokio::spawn(keep_published(pool.clone(), worker.clone(), changed));
        Ok(JobProcesses { lane: Lane::processes(pool.clone(), config.job_processes), pool })
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// For `/readyz`.
    pub(super) fn state(&self) -> Value {
        let confinement = self.pool.confinement();
        json!({
            "isolate": Isolation::Process,
            "lane": "job processes",
            "sandbox": confinement.first().map(Confinement::to_string),
            "missing": confinement.iter().flat_map(|one| one.missing.clone()).collect::<Vec<_>>(),
            "jobs": self.lane.state(),
        })
    }
}

/// Another start would fail in the same way where the sandbox is required and the kernel lacks a part of it.
fn cannot_start(error: PoolError) -> AnyError {
    match error {
        PoolError::Sandbox { missing, .. } => DoNotRestart::because(format!(
            "--sandbox require, and the sandbox has no {missing}; use a newer kernel, or --sandbox prefer"
        ))
        .into(),
        other => other.into(),
    }
}

/// Resident memory after a picture above which a job process is replaced: the program, inputs and outputs that stay warm, and twice
/// what it may keep.
fn resting_limit(job_bytes: u64) -> u64 {
    RESTING_BYTES + 2 * kept_bytes(job_bytes)
}

/// Heap of a job process whose pictures may need so much memory.
pub(crate) fn data_limit(job_memory_bytes: u64) -> u64 {
    job_memory_bytes.saturating_add(HEAD_ROOM_BYTES)
}

impl From<Sandboxing> for SandboxPolicy {
    fn from(sandboxing: Sandboxing) -> SandboxPolicy {
        match sandboxing {
            Sandboxing::Prefer => SandboxPolicy::Prefer,
            Sandboxing::Require => SandboxPolicy::Require,
            Sandboxing::Off => SandboxPolicy::Off,
        }
    }
}

/// One line at the start: what is truly active.
pub(crate) fn tell(pool: &ProcessPool, what: &str) {
    for confinement in pool.confinement() {
        match confinement.missing.is_empty() {
            true => tracing::info!(sandbox = %confinement, "{what} in job processes"),
            false => tracing::warn!(
                sandbox = %confinement,
                missing = confinement.missing.join("; "),
                "{what} in job processes, and their sandbox is not whole"
            ),
        }
    }
}

pub(crate) fn log(event: &PoolEvent) {
    match event {
        PoolEvent::Crashed { pid, task, crash } => tracing::error!(
            pid,
            task = task.map(|(name, _)| name),
            ending = %crash.ending,
            stderr = crash.stderr_tail.trim_end(),
            "a job process died; at most its one request failed"
        ),
        PoolEvent::StartFailed { .. } => tracing::error!("{event}"),
        PoolEvent::Killed { .. } | PoolEvent::Poisoned { .. } => tracing::warn!("{event}"),
        _ => tracing::debug!("{event}"),
    }
}

async fn keep_published(pool: ProcessPool, worker: Worker, changed: Arc<Notify>) {
    loop {
        let _ = timeout(FIGURES_EVERY, changed.notified()).await;
        publish(&pool, &worker);
    }
}

fn publish(pool: &ProcessPool, worker: &Worker) {
    let (metrics, scoreboard) = (pool.metrics(), worker.scoreboard());
    scoreboard.set(Field::JobProcesses, metrics.processes as u64);
    scoreboard.set(Field::JobCrashes, metrics.died);
    scoreboard.set(Field::JobsPoisoned, metrics.poisoned);
    let confined = pool.confinement().into_iter().next().unwrap_or(Confinement::none());
    scoreboard.set(Field::JobLandlock, confined.landlock.unwrap_or(0).into());
    scoreboard.set(Field::JobSeccomp, confined.seccomp.into());
}
