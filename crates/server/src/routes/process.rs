//! `POST /process`: the number loop, on a CPU thread.

use crate::app::App;
use crate::body::BodyReader;
use crate::config::BodyLimits;
use crate::numbers::{self, LARGEST_BODY_BYTES};
use crate::problem::Problem;
use crate::tasks::HeavyWork;
use crate::work::Cost;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde_json::json;

pub(crate) async fn post(State(app): State<App>, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    // Numbers cannot be counted before they are read: at least one more must fit in.
    let admission = app.work.admit(Cost::numbers(1))?;
    let limits = BodyLimits { bytes: LARGEST_BODY_BYTES.min(app.config.body.bytes), ..app.config.body };
    let numbers = numbers::parse(&BodyReader::new(&headers, body, limits)?.whole().await?)?;
    let cost = Cost::numbers(numbers.len());
    drop(admission);
    let (result, time) = app.work.run(cost, HeavyWork { numbers }).await?;
    let mut response = Json(json!({ "result": result })).into_response();
    response.extensions_mut().insert(time);
    Ok(response)
}
