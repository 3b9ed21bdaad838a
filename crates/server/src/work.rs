//! CPU work: where it is done, on which terms, and what it means to a client when it is refused or fails.
//!
//! ```text
//!                          ┌── threads ──── numbers, the sample; pictures too with --isolate thread
//!   route ── run(task) ────┤
//!                          └── processes ── pictures of strangers with --isolate process: sandboxed, may crash
//! ```
//!
//! Both lanes share the cores with those of the other workers, by the permits of the cluster.

mod cost;
mod failure;
mod job_processes;
mod lane;
mod occupancy;

pub(crate) use cost::{Cost, charge_of};
pub(crate) use lane::Admission;

use crate::config::{Config, Isolation};
use crate::problem::Problem;
use crate::request::WorkTime;
use crate::serve::AnyError;
use crate::tasks::{MakePicture, Timed, TimedTask};
pub(crate) use failure::problem as problem_of;
use job_processes::JobProcesses;
pub(crate) use job_processes::{data_limit, log as log_pool_event, tell as tell_confinement};
use lane::Lane;
use occupancy::Occupancy;
use phalanx::Worker;
use phalanx::shared::{Field, Histogram};
use phalanx::task::SubmitOptions;
use phalanx::thread::ThreadPool;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What does the CPU work of this worker.
pub(crate) struct Work {
    threads: Lane,
    pool: ThreadPool,
    /// Only with `--isolate process`.
    processes: Option<JobProcesses>,
    deadline: Duration,
    worker: Worker,
}

impl Work {
    /// Threads, and job processes if pictures are decoded in such: at least one of them has started then, and has said which
    /// sandbox it is in.
    pub(crate) fn new(config: &Config, worker: &Worker) -> Result<Self, AnyError> {
        let (permits, owner) = worker.permits();
        let threads = ThreadPool::builder()
            .name("cpu")
            .threads(config.threads as usize)
            .max_wait(config.max_wait)
            .standing_wait(config.standing_wait)
            .permits(permits, owner)
            .build()?;
        let processes = match config.isolation {
            Isolation::Thread => None,
            Isolation::Process => Some(JobProcesses::start(config, worker)?),
        };
        Ok(Work {
            threads: Lane::threads(threads.clone(), config.threads),
            pool: threads,
            processes,
            deadline: config.job_deadline,
            worker: worker.clone(),
        })
    }

    /// The CPU threads, for pipelines.
    pub(crate) fn threads(&self) -> &ThreadPool {
        &self.pool
    }

    /// Lets in work of our own making, before its body is read. Dropped when the work is submitted.
    pub(crate) fn admit(&self, cost: Cost) -> Result<Admission, Problem> {
        self.admit_to(&self.threads, cost)
    }

    /// Lets in the picture of a stranger, before its body is read.
    pub(crate) fn admit_picture(&self, cost: Cost) -> Result<Admission, Problem> {
        self.admit_to(self.pictures(), cost)
    }

    /// Does work of our own making. Dropping the future cancels it.
    pub(crate) async fn run<T: TimedTask<Result = R>, R>(&self, cost: Cost, task: T) -> Result<(R, WorkTime), Problem> {
        self.run_on(&self.threads, cost, task).await
    }

    /// Makes a picture. Dropping the future cancels it.
    pub(crate) async fn make_picture(
        &self,
        cost: Cost,
        task: MakePicture,
    ) -> Result<(<MakePicture as TimedTask>::Result, WorkTime), Problem> {
        self.run_on(self.pictures(), cost, task).await
    }

    /// Where queued work is done: in job processes, if there are such.
    pub(crate) fn on_pools(&self, runner: phalanx_queue::JobRunnerBuilder) -> phalanx_queue::JobRunnerBuilder {
        self.pictures().runs_for(runner)
    }

    fn pictures(&self) -> &Lane {
        self.processes.as_ref().map_or(&self.threads, JobProcesses::lane)
    }

    fn admit_to(&self, lane: &Lane, cost: Cost) -> Result<Admission, Problem> {
        lane.admit(cost.0).map_err(|refusal| {
            self.count(Field::Shed);
            failure::refused(&refusal)
        })
    }

    async fn run_on<T: TimedTask<Result = R>, R>(
        &self,
        lane: &Lane,
        cost: Cost,
        task: T,
    ) -> Result<(R, WorkTime), Problem> {
        let submitted = Instant::now();
        let inside = Occupancy::of(lane, &self.worker);
        self.count(Field::JobsSubmitted);
        let terms = SubmitOptions::new().cost(cost.0).deadline_from_submit(self.deadline);
        let done = lane.submit(task, terms).await;
        drop(inside);
        let total = submitted.elapsed();
        match done {
            Ok(Timed { made, took }) => {
                // A job process that was taken over may lie.
                let work = took.min(total);
                let time = WorkTime { wait: total - work, work, stages: None };
                let scoreboard = self.worker.scoreboard();
                scoreboard.histogram(Histogram::QueueWait).record(time.wait);
                scoreboard.histogram(Histogram::Work).record(time.work);
                self.count(Field::JobsDone);
                Ok((made, time))
            }
            Err(error) => {
                failure::fields(&error).iter().for_each(|field| self.count(*field));
                Err(failure::problem(&error, self.deadline))
            }
        }
    }

    fn count(&self, field: Field) {
        self.worker.scoreboard().add(field, 1);
    }

    /// For `/readyz`: the lines in front of the CPU.
    pub(crate) fn state(&self) -> Value {
        self.threads.state()
    }

    /// For `/readyz`: where pictures of strangers are decoded, and what is denied there.
    pub(crate) fn decoders(&self) -> Value {
        let mut told = match &self.processes {
            Some(processes) => processes.state(),
            None => json!({ "isolate": Isolation::Thread, "lane": "worker threads", "sandbox": "none" }),
        };
        told["read"] = json!(["jpeg", "png", "webp", "gif"]);
        told["write"] = json!(["jpeg", "png", "webp"]);
        told
    }
}
