//! `/v1/jobs`: take work in, tell how it is, give its result, cancel it, try it again. `/v1/queues`: how full the queues are.

use super::images;
use crate::app::App;
use crate::body::{BodyReader, FileBody};
use crate::config::{BodyLimits, Listing};
use crate::jobs::{self, Answered, Order, Preference, Terms};
use crate::numbers::{self, LARGEST_BODY_BYTES};
use crate::problem::{Code, Problem};
use crate::query::{Pairs, pairs};
use crate::store::ImageId;
use crate::tasks::{HeavyWork, QUEUED, QueuedPicture};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use phalanx::Task;
use phalanx_queue::job::JobFilter;
use phalanx_queue::{Error, JobId, QueueName, UnixMillis};
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::task::spawn_blocking;

/// Jobs in one answer of `GET /v1/jobs` at most, and without a word.
const MOST_LISTED: usize = 1000;
const USUALLY_LISTED: usize = 100;

/// How long results are kept where nothing else was asked for.
const RESULTS_ARE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An id in a path.
type Id = Result<Path<String>, PathRejection>;

/// `POST /v1/jobs`: JSON that names a task, or a picture with the parameters of `/v1/images` and the options of a job.
pub(crate) async fn create(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if !app.jobs.is_wanted() {
        return Err(jobs::no_queue());
    }
    let pairs = pairs(query.as_deref())?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        if let Some((name, _)) = pairs.first() {
            let why = format!("{name:?} stands in the query: a job in JSON has all of it in its body");
            return Err(Problem::parameter(name, why));
        }
        let limits = BodyLimits { bytes: LARGEST_BODY_BYTES.min(app.config.body.bytes), ..app.config.body };
        let body = BodyReader::new(&headers, body, limits)?.whole().await?;
        return create_of_json(&app, &headers, &body).await;
    }
    let (terms, parameters): (Pairs, Pairs) = pairs.into_iter().partition(|(name, _)| Terms::has(name));
    let order = Order::of_job(Terms::of_pairs(&terms)?, &headers)?;
    images::queue(&app, parameters, &headers, body, order).await
}

/// What a job in JSON looks like.
const SHAPE: &str = "send {\"task\":\"numbers\",\"input\":{\"numbers\":[10,20]},\"options\":{\"priority\":7}}";

async fn create_of_json(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Problem> {
    let bad = |why: String| Problem::new(Code::BadRequest, why);
    let value: Value =
        serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}; {SHAPE}")))?;
    let Value::Object(mut members) = value else { return Err(bad(format!("the body is no JSON object; {SHAPE}"))) };
    let (task, input, options) = (members.remove("task"), members.remove("input"), members.remove("options"));
    if let Some(unknown) = members.keys().next() {
        return Err(Problem::parameter(unknown, format!("the member {unknown:?} is unknown; {SHAPE}")));
    }
    let Some(Value::String(task)) = task else {
        return Err(Problem::parameter("task", format!("there is no text \"task\"; {SHAPE}")));
    };
    let terms = match options {
        None => Terms::default(),
        Some(Value::Object(options)) => Terms::of_json(&options)?,
        Some(_) => return Err(Problem::parameter("options", format!("\"options\" is no object; {SHAPE}"))),
    };
    let order = Order::of_job(terms, headers)?;
    let input = input.unwrap_or(Value::Null);
    match task.as_str() {
        HeavyWork::NAME => order.submit(app, &HeavyWork { numbers: numbers::of_json(&input)? }).await,
        QueuedPicture::NAME => match input {
            Value::Object(input) => picture_of_json(app, headers, input, order).await,
            _ => Err(no_picture()),
        },
        _ => {
            let shown: String = task.chars().take(40).collect();
            let why = format!("there is no task {shown:?}; the tasks are {}", QUEUED.join(", "));
            Err(Problem::parameter("task", why))
        }
    }
}

fn no_picture() -> Problem {
    let why = "a picture is sent as the body itself, raw or as a form, with its parameters in the query; or name a stored one: \
               {\"task\":\"picture\",\"input\":{\"image\":\"ID.jpg\",\"w\":300}}";
    Problem::parameter("input", why)
}

/// A stored picture, to be made into another one.
async fn picture_of_json(
    app: &App,
    headers: &HeaderMap,
    mut input: Map<String, Value>,
    order: Order,
) -> Result<Response, Problem> {
    let Some(Value::String(name)) = input.remove("image") else { return Err(no_picture()) };
    let mut pairs = Pairs::new();
    for (name, value) in input {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(switch) => switch.to_string(),
            _ => return Err(Problem::parameter(&name, format!("the parameter {name:?} must be a text or a number"))),
        };
        pairs.push((name, text));
    }
    let not_found = || Problem::new(Code::NotFound, "there is no stored picture of this name");
    let id: ImageId = name.parse().map_err(|_| not_found())?;
    let store = app.store.clone();
    let opened = spawn_blocking(move || store.open(id)).await;
    let opened = opened.map_err(|error| Problem::new(Code::Internal, error.to_string()))??;
    let (file, length) = opened.ok_or_else(not_found)?;
    let mut about_the_picture = HeaderMap::new();
    if let Some(accept) = headers.get(ACCEPT) {
        about_the_picture.insert(ACCEPT, accept.clone());
    }
    images::queue(app, pairs, &about_the_picture, Body::new(FileBody::new(file, length)), order).await
}

/// `GET /v1/jobs`: the newest first, by `queue`, `task` and `state`; `limit` of them, and a link to the next.
pub(crate) async fn list(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    may_list(&app)?;
    let pairs = pairs(query.as_deref())?;
    let mut filter = JobFilter { most: USUALLY_LISTED, ..JobFilter::default() };
    for (index, (name, value)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(other, _)| other == name) {
            return Err(Problem::parameter(name, format!("the parameter {name:?} is given more than once")));
        }
        match name.as_str() {
            "queue" => filter.queue = Some(QueueName::new(value.as_str())?),
            "task" => filter.kind = Some(value.clone()),
            "state" => filter.state = Some(jobs::state_parameter(value)?),
            "before" => {
                filter.before = Some(value.parse().map_err(|_| Problem::parameter(name, "before must be a job's id"))?);
            }
            "limit" => match value.parse() {
                Ok(most) if (1..=MOST_LISTED).contains(&most) => filter.most = most,
                _ => return Err(Problem::parameter(name, format!("limit must be a number from 1 to {MOST_LISTED}"))),
            },
            _ => {
                let why = format!("the parameter {name:?} is unknown; the names are queue, task, state, before, limit");
                return Err(Problem::parameter(name, why));
            }
        }
    }
    let most = filter.most;
    let listed = app.jobs.queue().await?.store().list(filter).await?;
    let next = listed.last().filter(|_| listed.len() >= most).map(|last| {
        let kept = pairs.iter().filter(|(name, _)| name != "before");
        let kept: String = kept.map(|(name, value)| format!("{name}={}&", encoded(value))).collect();
        format!("/v1/jobs?{kept}before={}", last.id)
    });
    let listed: Vec<Value> = listed.iter().map(jobs::described).collect();
    Ok(uncached(Json(json!({ "jobs": listed, "next": next }))))
}

/// Whoever can list jobs can read all their results.
fn may_list(app: &App) -> Result<(), Problem> {
    match app.config.queueing.listing {
        Listing::On => Ok(()),
        Listing::Off => Err(Problem::new(
            Code::NotListed,
            "jobs are not listed to clients here; ask for one by its id, or use `phalanx queue list`, or set --job-list on",
        )),
    }
}

/// `GET /v1/queues`: what each queue holds.
pub(crate) async fn queues(State(app): State<App>) -> Result<Response, Problem> {
    may_list(&app)?;
    let stats = app.jobs.queue().await?.store().stats(None).await?;
    let queues: Vec<Value> = stats.iter().map(jobs::of_queue).collect();
    Ok(uncached(Json(json!({ "queues": queues }))))
}

/// `GET /v1/jobs/{id}`.
pub(crate) async fn status(State(app): State<App>, id: Id) -> Result<Response, Problem> {
    let id = parsed(id)?;
    let status = app.jobs.queue().await?.store().changed(id, 0, Duration::ZERO).await?;
    Ok(uncached(Json(jobs::described(&status))))
}

/// `GET /v1/jobs/{id}/result`: what the synchronous route would have answered; 202 until then. `Prefer: wait=N` waits for it.
pub(crate) async fn result(State(app): State<App>, id: Id, headers: HeaderMap) -> Result<Response, Problem> {
    let id = parsed(id)?;
    let queue = app.jobs.queue().await?;
    let status = queue.store().changed(id, 0, Duration::ZERO).await.map_err(|error| gone(id, error))?;
    let wait = Preference::of(&headers).wait.unwrap_or_default();
    let end = match status.state.is_end() || !wait.is_zero() {
        true => queue.store().ended(id, wait).await.map_err(|error| gone(id, error))?,
        false => None,
    };
    let Some(end) = end else { return Ok(uncached(jobs::accepted(&queue, id).await?)) };
    let total = match status.ended {
        Some(ended) => ended.since(status.submitted),
        None => UnixMillis::now().since(status.submitted),
    };
    jobs::answer(&app, &queue, Answered { id, kind: &status.kind, total, end }).await
}

/// `GET /v1/jobs/{id}/events`.
pub(crate) async fn events(State(app): State<App>, id: Id, headers: HeaderMap) -> Result<Response, Problem> {
    jobs::events(app, parsed(id)?, &headers).await
}

/// `DELETE /v1/jobs/{id}`: a job that waits never runs, one that runs is told to stop.
pub(crate) async fn cancel(State(app): State<App>, id: Id) -> Result<Response, Problem> {
    let id = parsed(id)?;
    let queue = app.jobs.queue().await?;
    queue.store().cancel(id).await?;
    let status = queue.store().changed(id, 0, Duration::ZERO).await?;
    Ok(uncached(Json(jobs::described(&status))))
}

/// `POST /v1/jobs/{id}/retry`: a dead or cancelled job begins anew.
pub(crate) async fn retry(State(app): State<App>, id: Id) -> Result<Response, Problem> {
    let id = parsed(id)?;
    let queue = app.jobs.queue().await?;
    queue.store().revive(id).await?;
    jobs::accepted(&queue, id).await
}

/// A job that is not known and as old as its id says was kept as long as results are kept.
fn gone(id: JobId, error: Error) -> Problem {
    let [a, b, c, d, e, f, ..] = *id.as_bytes();
    let made = UnixMillis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
    match error {
        Error::NoSuchJob { .. } if UnixMillis::now().since(made) >= RESULTS_ARE_KEPT => {
            Problem::new(Code::NoResult, "the result was kept for its time, which is over; do the request again")
        }
        error => error.into(),
    }
}

fn parsed(id: Id) -> Result<JobId, Problem> {
    let parsed = id.ok().and_then(|Path(id)| id.parse::<JobId>().ok().filter(|parsed| parsed.to_string() == id));
    parsed.ok_or_else(|| Problem::new(Code::NotFound, "there is no job of this id: ids look as UUIDs do"))
}

fn uncached(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Percent-encoded for a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
