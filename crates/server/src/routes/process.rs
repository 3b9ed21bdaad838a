//! `POST /process`: the number loop, on a CPU thread.

use crate::app::App;
use crate::body::BodyReader;
use crate::config::BodyLimits;
use crate::jobs::{Wish, wanted};
use crate::numbers::{self, LARGEST_BODY_BYTES};
use crate::problem::Problem;
use crate::request::WorkTime;
use crate::tasks::HeavyWork;
use crate::work::Cost;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;

pub(crate) async fn post(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let order = match wanted(&app, &headers)? {
        Wish::Now => None,
        Wish::Job(order) => Some(order),
    };
    // Numbers cannot be counted before they are read: at least one more must fit in.
    let admission = if order.is_none() { Some(app.work.admit(Cost::numbers(1))?) } else { None };
    let limits = BodyLimits { bytes: LARGEST_BODY_BYTES.min(app.config.body.bytes), ..app.config.body };
    let numbers = numbers::parse(&BodyReader::new(&headers, body, limits)?.whole().await?)?;
    if let Some(order) = order {
        return order.submit(&app, &HeavyWork { numbers }).await;
    }
    let cost = Cost::numbers(numbers.len());
    drop(admission);
    let (result, time) = app.work.run(cost, HeavyWork { numbers }).await?;
    Ok(finished(&result, time))
}

/// The answer, now or from a job that has ended.
pub(crate) fn finished(result: &[u64], time: WorkTime) -> Response {
    let mut response = Json(json!({ "result": result })).into_response();
    response.extensions_mut().insert(time);
    response
}
