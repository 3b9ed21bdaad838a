//! `POST /upload` and `POST /v1/images`: a picture in, a smaller one out.
//!
//! The order of the checks is the order of their cost: parameters, a place in line, the first bytes, the memory, and only
//! then the work. So a full server refuses before it has read the body, and a bomb is refused by its header.

use super::stored::PICTURE_POLICY;
use crate::accept::Accept;
use crate::app::App;
use crate::body::{Picture, announced_length};
use crate::memory::{Charge, charged, charged_source, refused};
use crate::parameters::{Answer, Parameters, Transparency};
use crate::problem::{Code, Problem};
use crate::query::pairs;
use crate::receive::{Received, receive};
use crate::request::WorkTime;
use crate::store::{ImageId, StoreError};
use crate::tasks::{MadePicture, MakePicture};
use crate::work::Cost;
use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use phalanx::image::{self, Format, Plan};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A finished picture.
struct Made {
    outcome: Outcome,
    width: u32,
    height: u32,
    format: Format,
}

/// Where it is now.
enum Outcome {
    /// In memory, charged to the budget until it is sent.
    Picture(Bytes),
    /// In the store.
    Stored { id: ImageId, bytes: u64 },
}

/// `POST /upload`: answers JSON with the path, unless the picture itself is asked for.
pub(crate) async fn upload(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accept = Accept::new(&headers);
    let wants_picture = accept.picture() > accept.named("application/json");
    let usual = if wants_picture { Answer::Picture } else { Answer::Stored };
    let (made, time) = make(&app, query.as_deref(), &headers, &accept, body, usual).await?;
    Ok(match &made.outcome {
        Outcome::Stored { id, bytes } => {
            let told = Json(told(&made, *id, *bytes, Some("Image processed successfully!")));
            finished(told.into_response(), time)
        }
        Outcome::Picture(bytes) => finished(sent(&made, bytes.clone()), time),
    })
}

/// `POST /v1/images`: answers the picture itself, unless it shall be stored.
pub(crate) async fn create(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accept = Accept::new(&headers);
    let wants_json = accept.named("application/json").is_some_and(|json| Some(json) >= accept.picture());
    let usual = if wants_json { Answer::Stored } else { Answer::Picture };
    let (made, time) = make(&app, query.as_deref(), &headers, &accept, body, usual).await?;
    Ok(match &made.outcome {
        Outcome::Stored { id, bytes } => {
            let told = Json(told(&made, *id, *bytes, None));
            finished((StatusCode::CREATED, [(LOCATION, path(*id))], told).into_response(), time)
        }
        Outcome::Picture(bytes) => finished(sent(&made, bytes.clone()), time),
    })
}

async fn make(
    app: &App,
    query: Option<&str>,
    headers: &HeaderMap,
    accept: &Accept,
    body: Body,
    usual: Answer,
) -> Result<(Made, WorkTime), Problem> {
    let mut pairs = pairs(query)?;
    Parameters::new(&pairs)?;
    let admission = app.work.admit_picture(Cost::of_body(announced_length(headers)))?;
    let Received { picture, fields } = receive(app, headers, body).await?;
    pairs.extend(fields);
    let parameters = Parameters::new(&pairs)?;
    let answer = parameters.answer.unwrap_or(usual);
    let Picture { bytes: source, header, mut reservation } = picture;
    let transparency = if header.has_alpha { Transparency::Transparent } else { Transparency::Opaque };
    // Who asks for JSON says nothing about pictures.
    let accept = if answer == Answer::Stored && accept.picture().is_none() { &Accept::anything() } else { accept };
    let transform = parameters.transform(accept, transparency)?;
    let plan = image::plan(&header, &transform, &app.limits)?;
    reservation.try_grow(plan.estimated_bytes).map_err(|exhausted| refused(&exhausted))?;
    let charge = Charge::new(reservation);
    let source = charged_source(source, &charge);
    drop(admission);
    let task = MakePicture { source, transform, limits: app.limits.clone() };
    let (made, time) = app.work.make_picture(Cost::of_picture(&plan), task).await?;
    let MadePicture { bytes, stages } = made?;
    let Plan { width, height, format, .. } = plan;
    let length = bytes.len() as u64;
    if length > charge.bytes() || Format::sniff(&bytes) != Some(format) {
        tracing::error!(bytes = length, "a decoder gave something else than what was planned");
        return Err(Problem::new(Code::Internal, "the decoder did not make what was planned; it is logged"));
    }
    charge.shrink_to(length);
    let outcome = match answer {
        Answer::Picture => Outcome::Picture(charged(bytes, charge)),
        Answer::Stored => Outcome::Stored { id: store(app, format, charged(bytes, charge)).await?, bytes: length },
    };
    Ok((Made { outcome, width, height, format }, WorkTime { stages: Some(stages), ..time }))
}

/// Stores a result off the event loop. The worker does it itself: where pictures are decoded there are no files.
async fn store(app: &App, format: Format, bytes: Bytes) -> Result<ImageId, Problem> {
    let store = Arc::clone(&app.store);
    let stored = spawn_blocking(move || store.put(format, &bytes)).await;
    let stored =
        stored.map_err(|error| Problem::new(Code::Internal, format!("the result cannot be stored: {error}")))?;
    Ok(stored?)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Problem::new(
                Code::StoreFull,
                "the result cannot be stored: there is no room for it; ask for the picture itself with download=1",
            ),
            StoreError::Io(error) => Problem::new(Code::Internal, format!("the result cannot be stored: {error}")),
        }
    }
}

/// Where a stored picture is found.
fn path(id: ImageId) -> String {
    format!("/v1/images/{id}")
}

/// The name of a format in parameters and answers.
fn name(format: Format) -> &'static str {
    format.media_type().strip_prefix("image/").unwrap_or("unknown")
}

/// JSON about a stored picture. Paths are relative to this server, because it cannot know under which name it is reached.
fn told(made: &Made, id: ImageId, bytes: u64, message: Option<&str>) -> Value {
    let path = path(id);
    let mut body = json!({
        "id": id.to_string(), "path": path, "url": path,
        "width": made.width, "height": made.height, "bytes": bytes, "format": name(made.format),
    });
    if let Some(message) = message {
        body["message"] = message.into();
        body["resultPath"] = path.into();
    }
    body
}

/// The picture itself.
fn sent(made: &Made, bytes: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, made.format.media_type().to_owned()),
        (CONTENT_DISPOSITION, format!("inline; filename=\"picture.{}\"", made.format.extension())),
        (CONTENT_SECURITY_POLICY, PICTURE_POLICY.to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Body::from(bytes)).into_response()
}

fn finished(mut response: Response, time: WorkTime) -> Response {
    response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT));
    response.extensions_mut().insert(time);
    response
}
