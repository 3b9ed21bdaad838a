//! From a request to a job: what its headers ask for, and what is said when the job is in the queue.

use super::answer::{Answered, answer};
use super::idempotency::{Fingerprint, IdempotencyKey, is_same_request};
use super::preference::Preference;
use super::status::described;
use super::terms::Terms;
use crate::app::App;
use crate::problem::{Code, Problem};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use phalanx::Task;
use phalanx::task::Packed;
use phalanx_queue::job::{NewJob, Submitted, Work};
use phalanx_queue::{Error, JobId, Queue, payload};
use serde_json::json;
use std::time::{Duration, Instant};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// When to look after a job for the first time, in seconds.
const LOOK_AGAIN_SECONDS: u16 = 1;
/// How much longer than its deadline the end of a job is waited for: its error has to come through the queue.
const GRACE: Duration = Duration::from_secs(2);

/// What a request to a CPU route wants.
pub(crate) enum Wish {
    /// The work done now, in this worker.
    Now,
    /// A job of it.
    Job(Order),
}

/// How a job is made of a request, and what is waited for.
pub(crate) struct Order {
    terms: Terms,
    key: Option<IdempotencyKey>,
    manner: Manner,
}

/// How the client is answered.
enum Manner {
    /// With the result; 409 while another request of the same key is under way.
    Synchronous,
    /// With a place to look, or with the result if that comes within the time.
    Asynchronous { wait: Duration, applied: Option<String> },
}

/// What the headers of a request to a CPU route ask for.
pub(crate) fn wanted(app: &App, headers: &HeaderMap) -> Result<Wish, Problem> {
    let (preference, key) = (Preference::of(headers), IdempotencyKey::of(headers)?);
    if key.is_some() && !app.jobs.is_wanted() {
        return Err(super::connection::no_queue());
    }
    // A preference may be ignored: without a queue the answer comes at once.
    if preference.respond_async && app.jobs.is_wanted() {
        return Ok(Wish::Job(Order {
            terms: Terms::default(),
            key,
            manner: Manner::Asynchronous {
                wait: preference.wait.unwrap_or_default(),
                applied: Some(preference.applied()),
            },
        }));
    }
    Ok(match key {
        // What is done twice must be found the second time: it goes through the queue, which remembers.
        Some(key) => Wish::Job(Order {
            terms: Terms::within(app.config.job_deadline),
            key: Some(key),
            manner: Manner::Synchronous,
        }),
        None => Wish::Now,
    })
}

impl Order {
    /// For `POST /v1/jobs`: a job in any case.
    pub(crate) fn of_job(terms: Terms, headers: &HeaderMap) -> Result<Order, Problem> {
        let (preference, key) = (Preference::of(headers), IdempotencyKey::of(headers)?);
        if key.is_some() && terms.unique.is_some() {
            let why = "Idempotency-Key and the option unique are both keys of the job: give one of them";
            return Err(Problem::parameter("unique", why));
        }
        let applied = preference.wait.map(|wait| format!("wait={}", wait.as_secs()));
        Ok(Order { terms, key, manner: Manner::Asynchronous { wait: preference.wait.unwrap_or_default(), applied } })
    }

    /// Queues the task, and answers.
    pub(crate) async fn submit<T: Task>(self, app: &App, task: &T) -> Result<Response, Problem> {
        let begun = Instant::now();
        let queue = app.jobs.queue().await?;
        let job = self.job(app, &queue, task).await?;
        let id = job.id;
        let taken = queue.store().submit(vec![Work::Job(job)]).await?.pop().unwrap_or(Err(Error::Closed))?;
        let (id, is_new) = match (taken, &self.key) {
            (Submitted::Taken(id), _) => (id, true),
            (Submitted::Held(other), Some(_)) if !is_same_request(id, other) => {
                let why = "this Idempotency-Key was used with another request in the last 24 hours; take a new key";
                return Err(Problem::new(Code::KeyReused, why));
            }
            (Submitted::Held(other), _) => (other, false),
        };
        let wait = match (&self.manner, is_new) {
            (Manner::Synchronous, true) => app.config.job_deadline + GRACE,
            (Manner::Synchronous, false) => Duration::ZERO,
            (Manner::Asynchronous { wait, .. }, _) => *wait,
        };
        let end = match (&self.manner, wait.is_zero()) {
            (Manner::Asynchronous { .. }, true) => None,
            _ => queue.store().ended(id, wait).await?,
        };
        let mut response = match (end, &self.manner, is_new) {
            (Some(end), ..) => answer(app, &queue, Answered { id, kind: T::NAME, total: begun.elapsed(), end }).await?,
            (None, Manner::Asynchronous { .. }, _) => accepted(&queue, id).await?,
            (None, Manner::Synchronous, true) => {
                let limit = app.config.job_deadline;
                return Err(Problem::new(Code::DeadlinePassed, format!("the work was not done within {limit:?}"))
                    .limit(limit.as_millis() as u64, "milliseconds"));
            }
            (None, Manner::Synchronous, false) => {
                let why = "the first request of this Idempotency-Key is still under way; ask again";
                return Err(
                    Problem::new(Code::KeyInProgress, why).retry_after(Duration::from_secs(LOOK_AGAIN_SECONDS.into()))
                );
            }
        };
        if let Manner::Asynchronous { applied: Some(applied), .. } = &self.manner
            && let Ok(applied) = HeaderValue::from_str(applied)
        {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    }

    async fn job<T: Task>(&self, app: &App, queue: &Queue, task: &T) -> Result<NewJob, Problem> {
        let name = self.terms.queue(&app.config.queueing.names)?;
        let packed = Packed::of(task).map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let fingerprint = self.key.as_ref().map(|_| {
            let before = [T::NAME.as_bytes(), name.as_str().as_bytes(), &packed.bytes];
            Fingerprint::of(before.into_iter().chain(packed.blobs.iter().map(|blob| &**blob)))
        });
        let payload = payload::pack(packed, queue.blobs()).await?;
        let mut job = NewJob::new(name, T::NAME, payload);
        job.run_limit = Some(app.config.job_deadline);
        job.awaited = match &self.manner {
            Manner::Synchronous => true,
            Manner::Asynchronous { wait, .. } => !wait.is_zero(),
        };
        self.terms.apply(&mut job);
        if let (Some(key), Some(fingerprint)) = (&self.key, fingerprint) {
            job.id = key.job_id(&fingerprint);
            job.unique = Some(key.unique());
        }
        Ok(job)
    }
}

/// Where a job is found.
pub(crate) fn path(id: JobId) -> String {
    format!("/v1/jobs/{id}")
}

/// 202: it is in the queue, and this is where it is found.
pub(crate) async fn accepted(queue: &Queue, id: JobId) -> Result<Response, Problem> {
    let told = match queue.store().changed(id, 0, Duration::ZERO).await {
        Ok(status) => described(&status),
        // It is in the queue, whatever can be said of it.
        Err(_) => json!({ "id": id.to_string(), "path": path(id) }),
    };
    let headers = [(LOCATION, path(id)), (RETRY_AFTER, LOOK_AGAIN_SECONDS.to_string())];
    Ok((StatusCode::ACCEPTED, headers, Json(told)).into_response())
}
