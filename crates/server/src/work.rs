//! CPU work: how dear it is, the thread pool that does it, and what its refusals mean to a client.

use crate::config::Config;
use crate::problem::{Code, Problem};
use crate::request::WorkTime;
use phalanx::Worker;
use phalanx::image::Plan;
use phalanx::shared::{Field, Histogram};
use phalanx::thread::{Admission, Error, JobContext, JobError, Refusal, ThreadPool};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What a job is expected to cost on one core. Only the proportions matter: the pool measures how fast it really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cost(Duration);

/// One number of `/process` beside seven others (`heavy_work.rs`).
const MICROSECONDS_PER_NUMBER: u64 = 600;
/// A body whose picture is not known yet: a JPEG of 2 MB takes about 40 ms.
const NANOSECONDS_PER_BODY_BYTE: u64 = 20;
/// For a body of unknown length: a small photo.
const USUAL_BODY_BYTES: u64 = 1 << 20;
/// Drawing and encoding the sample.
const NANOSECONDS_PER_SAMPLE_PIXEL: u64 = 30;

impl Cost {
    /// This many numbers.
    pub(crate) fn numbers(count: usize) -> Self {
        // Eight at once take little longer than one.
        Cost(Duration::from_micros(MICROSECONDS_PER_NUMBER * (count.max(1) as u64).next_multiple_of(8).max(5)))
    }

    /// A picture of which nothing is known but the length of the body.
    pub(crate) fn of_body(announced: Option<u64>) -> Self {
        Cost(Duration::from_nanos(announced.unwrap_or(USUAL_BODY_BYTES) * NANOSECONDS_PER_BODY_BYTE))
    }

    /// A picture whose header was read.
    pub(crate) fn of_picture(plan: &Plan) -> Self {
        Cost(plan.estimated_cost)
    }

    /// The sample picture.
    pub(crate) fn of_sample(pixels: u64) -> Self {
        Cost(Duration::from_nanos(pixels * NANOSECONDS_PER_SAMPLE_PIXEL))
    }
}

/// The CPU threads of this worker.
pub(crate) struct Pool {
    threads: ThreadPool,
    deadline: Duration,
    worker: Worker,
}

impl Pool {
    /// Threads that share the cores with those of the other workers.
    pub(crate) fn new(config: &Config, worker: &Worker) -> Result<Self, Error> {
        let (permits, owner) = worker.permits();
        let threads = ThreadPool::builder()
            .name("cpu")
            .threads(config.threads as usize)
            .max_wait(config.max_wait)
            .standing_wait(config.standing_wait)
            .permits(permits, owner)
            .build()?;
        Ok(Pool { threads, deadline: config.job_deadline, worker: worker.clone() })
    }

    /// Lets in work of this cost, before its body is read. Dropped when the work is submitted.
    pub(crate) fn admit(&self, cost: Cost) -> Result<Admission, Problem> {
        self.threads.admit(cost.0).map_err(|refusal| self.refused(refusal))
    }

    /// Does `work` on a CPU thread. Dropping the future cancels it: `work` has to look now and then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cost: Cost,
        work: impl FnOnce(&JobContext) -> T + Send + 'static,
    ) -> Result<(T, WorkTime), Problem> {
        let submitted = Instant::now();
        let waits = OnScoreboard::new(&self.worker, Field::QueueDepth);
        let job = move |job: &JobContext| {
            let begun = Instant::now();
            let runs = waits.becomes(Field::BusyThreads);
            let result = work(job);
            let time = WorkTime { wait: begun - submitted, work: begun.elapsed(), stages: None };
            let scoreboard = runs.worker.scoreboard();
            scoreboard.histogram(Histogram::QueueWait).record(time.wait);
            scoreboard.histogram(Histogram::Work).record(time.work);
            (result, time)
        };
        self.count(Field::JobsSubmitted);
        let job = self.threads.job().cost(cost.0).deadline_from_submit(self.deadline).spawn(job);
        let done = job.await.map_err(|error| self.failed(&error))?;
        self.count(Field::JobsDone);
        Ok(done)
    }

    fn count(&self, field: Field) {
        self.worker.scoreboard().add(field, 1);
    }

    fn failed(&self, error: &JobError) -> Problem {
        self.count(match error {
            JobError::Refused(_) | JobError::TimedOut(_) | JobError::Cancelled => Field::JobsRefused,
            _ => Field::JobsFailed,
        });
        match error {
            JobError::Refused(refusal) => self.refused(*refusal),
            JobError::TimedOut(_) => self.deadline_passed(),
            JobError::Cancelled => self.refused(Refusal::ShuttingDown),
            panicked => {
                tracing::error!("{panicked}");
                Problem::new(Code::Internal, "the server made a mistake at work on this request; it is logged")
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> Problem {
        self.count(Field::Shed);
        refused(refusal)
    }

    /// The work was stopped at its deadline.
    pub(crate) fn deadline_passed(&self) -> Problem {
        let deadline = self.deadline;
        Problem::new(
            Code::DeadlinePassed,
            format!("the work was not done within {deadline:?} and was stopped; send less"),
        )
        .limit(deadline.as_millis() as u64, "milliseconds")
    }

    /// For `/readyz`.
    pub(crate) fn state(&self) -> Value {
        let metrics = self.threads.metrics();
        json!({
            "threads": metrics.threads,
            "queued": metrics.queued,
            "running": metrics.running,
            "predicted_wait_ms": metrics.predicted_wait.as_secs_f64() * 1e3,
        })
    }
}

/// What a refusal of the pool means to a client.
fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::TooLongWait { predicted, limit, retry_after } => {
            let detail = format!("the server is full: the wait would be {predicted:.1?}, and {limit:?} is the limit");
            Problem::new(Code::Overloaded, detail).retry_after(retry_after)
        }
        Refusal::Full { queued, .. } => {
            let detail = format!("the server is full: {queued} requests wait already");
            Problem::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1))
        }
        _ => {
            Problem::new(Code::Draining, "this worker is about to stop; send the request again, another one serves on")
                .retry_after(Duration::from_secs(1))
        }
    }
}

/// One job, counted in a field of the worker's scoreboard until it is dropped.
struct OnScoreboard {
    worker: Worker,
    field: Field,
}

impl OnScoreboard {
    fn new(worker: &Worker, field: Field) -> Self {
        worker.scoreboard().add(field, 1);
        OnScoreboard { worker: worker.clone(), field }
    }

    fn becomes(self, field: Field) -> Self {
        Self::new(&self.worker, field)
    }
}

impl Drop for OnScoreboard {
    fn drop(&mut self) {
        self.worker.scoreboard().subtract(self.field, 1);
    }
}
