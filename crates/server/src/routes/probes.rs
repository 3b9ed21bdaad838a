//! Who answers, and how it is. None of these ever waits behind CPU work.

use crate::app::App;
use crate::jobs::figures;
use crate::problem::{Code, Problem};
use crate::query;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

/// `GET /whoami`: the process that answers, and the client's own `id` if it sent one, so that it can tell answers apart.
pub(crate) async fn whoami(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut answer = json!({
        "pid": std::process::id(),
        "worker": app.worker.id().get(),
        "place": app.worker.place().0,
        "generation": app.worker.generation(),
    });
    for (name, value) in query::pairs(query.as_deref())? {
        if name != "id" {
            let why = format!("the parameter {name:?} is unknown; /whoami takes only id");
            return Err(Problem::new(Code::BadParameter, why));
        }
        answer["id"] = value.into();
    }
    Ok(uncached(answer))
}

/// `GET /livez`: the event loop turns.
pub(crate) async fn livez() -> Response {
    uncached(json!({ "status": "alive" }))
}

/// `GET /readyz`: new requests are welcome, and what is active in this worker.
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Problem> {
    if app.is_draining() {
        return Err(Problem::new(Code::Draining, "this worker finishes its requests and stops; another one serves on"));
    }
    Ok(uncached(json!({
        "status": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "worker": app.worker.id().get(),
        "decoders": app.work.decoders(),
        "pool": app.work.state(),
        "queue": app.jobs.state(),
        "memory": {
            "limit_bytes": app.budget.limit(),
            "reserved_bytes": app.budget.reserved(),
            "reserved_by_all_bytes": app.budget.reserved_by_all(),
        },
        "limits": {
            "body_bytes": app.config.body.bytes,
            "stream_bytes": app.config.streaming.body_bytes,
            "inflated_bytes": app.config.streaming.inflated_bytes,
            "inflated_ratio": app.config.streaming.inflated_ratio,
            "source_pixels": app.config.max_pixels,
            "job_bytes": app.config.job_bytes(),
            "job_deadline_ms": app.config.job_deadline.as_millis() as u64,
            "max_wait_ms": app.config.max_wait.as_millis() as u64,
        },
    })))
}

/// `GET /metrics`: the figures of the whole cluster and of its queue, as Prometheus reads them.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = app.worker.metrics() + &figures(&app.jobs).await;
    ([(CONTENT_TYPE, TEXT_FORMAT), (CACHE_CONTROL, HeaderValue::from_static("no-store"))], text).into_response()
}

fn uncached(value: Value) -> Response {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(value)).into_response()
}
