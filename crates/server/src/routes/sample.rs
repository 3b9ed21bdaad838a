//! `GET /sample.jpg`: a photo for those who have none at hand.

use crate::app::App;
use crate::problem::Problem;
use crate::tasks::Sample;
use crate::work::Cost;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

/// 12 megapixels, as a common phone takes them.
const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;

/// Made on a CPU thread when it is first asked for, then kept.
pub(crate) async fn get(State(app): State<App>) -> Result<Response, Problem> {
    let make = async || -> Result<Bytes, Problem> {
        let cost = Cost::of_sample(u64::from(WIDTH) * u64::from(HEIGHT));
        let (blob, _) = app.work.run(cost, Sample { width: WIDTH, height: HEIGHT }).await?;
        Ok(Bytes::from_owner(blob))
    };
    let bytes = app.sample.get_or_try_init(make).await?.clone();
    let mut response = Body::from(bytes).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(response)
}
