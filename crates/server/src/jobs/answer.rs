//! The end of a job as an answer: what the synchronous route would have said.

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::request::WorkTime;
use crate::routes::{images, process};
use crate::tasks::{HeavyWork, QueuedAnswer, QueuedPicture, Timed};
use crate::work;
use axum::response::Response;
use phalanx::Task;
use phalanx::task::Packed;
use phalanx_queue::{JobEnd, JobId, Queue, payload};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A job that has ended.
pub(crate) struct Answered<'a> {
    pub(crate) id: JobId,
    /// The name of its task.
    pub(crate) kind: &'a str,
    /// From its submission to its end.
    pub(crate) total: Duration,
    pub(crate) end: JobEnd,
}

/// The answer.
pub(crate) async fn answer(app: &App, queue: &Queue, answered: Answered<'_>) -> Result<Response, Problem> {
    let Answered { id, kind, total, end } = answered;
    let packed = match end {
        JobEnd::Done(result) => payload::unpack(&result, queue.blobs()).await?,
        JobEnd::Dead(error) => return Err(work::problem_of(&payload::as_error(&error), app.config.job_deadline)),
        JobEnd::Cancelled => {
            let why = "the job was cancelled: there is no result; POST …/retry does it all the same";
            return Err(Problem::new(Code::NoResult, why));
        }
    };
    if kind == HeavyWork::NAME {
        let Timed { made, took } = unpacked::<<HeavyWork as Task>::Output>(packed)?;
        return Ok(process::finished(&made, time(total, took)));
    }
    if kind == QueuedPicture::NAME {
        let QueuedAnswer { made: Timed { made, took }, form } = unpacked(packed)?;
        return images::queued(app, id, made, form, time(total, took)).await;
    }
    let why = format!("the result of a task {kind:?} is for the program that submitted it; this server cannot read it");
    Err(Problem::new(Code::NoResult, why))
}

/// What was not work was waiting. (A job process that was taken over may lie.)
fn time(total: Duration, took: Duration) -> WorkTime {
    let work = took.min(total);
    WorkTime { wait: total - work, work, stages: None }
}

fn unpacked<T: DeserializeOwned>(packed: Packed) -> Result<T, Problem> {
    packed.unpack().map_err(|error| {
        tracing::error!("the result of a job cannot be read: {error}");
        Problem::new(Code::Internal, "the result cannot be read: another version of this program made it; it is logged")
    })
}
