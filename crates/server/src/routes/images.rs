//! `POST /upload` and `POST /v1/images`: a picture in, a smaller one out.
//!
//! The order of the checks is the order of their cost: parameters, a place in line, the first bytes, the memory, and only
//! then the work. So a full server refuses before it has read the body, and a bomb is refused by its header.

use super::stored::PICTURE_POLICY;
use crate::accept::Accept;
use crate::app::App;
use crate::body::{Picture, announced_length};
use crate::jobs::{Order, Wish, wanted};
use crate::memory::{Charge, charged, charged_source, refused, reserve};
use crate::parameters::{Answer, Parameters, Transparency};
use crate::problem::{Code, Problem};
use crate::query::{Pairs, pairs};
use crate::receive::{Received, receive};
use crate::request::WorkTime;
use crate::store::{ImageId, Store, StoreError};
use crate::tasks::{MadePicture, MakePicture, PictureForm, QueuedPicture};
use crate::work::{Cost, charge_of};
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
use phalanx_queue::JobId;
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

/// A picture that came, and what is to be made of it.
pub(super) struct Ordered {
    picture: MakePicture,
    plan: Plan,
    charge: Charge,
    form: PictureForm,
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
    respond(&app, pairs(query.as_deref())?, &headers, body, usual, PictureForm::Uploaded).await
}

/// `POST /v1/images`: answers the picture itself, unless it shall be stored.
pub(crate) async fn create(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let usual = usual_answer(&headers);
    respond(&app, pairs(query.as_deref())?, &headers, body, usual, PictureForm::Stored).await
}

/// A job of a picture, for `POST /v1/jobs`: the same body and the same parameters as for `/v1/images`.
pub(super) async fn queue(
    app: &App,
    pairs: Pairs,
    headers: &HeaderMap,
    body: Body,
    order: Order,
) -> Result<Response, Problem> {
    let ordered = ordered(app, pairs, headers, body, usual_answer(headers), PictureForm::Stored).await?;
    ordered.submit(app, order).await
}

/// What `/v1/images` answers with where no parameter says it.
fn usual_answer(headers: &HeaderMap) -> Answer {
    let accept = Accept::new(headers);
    let wants_json = accept.named("application/json").is_some_and(|json| Some(json) >= accept.picture());
    if wants_json { Answer::Stored } else { Answer::Picture }
}

async fn respond(
    app: &App,
    pairs: Pairs,
    headers: &HeaderMap,
    body: Body,
    usual: Answer,
    stored: PictureForm,
) -> Result<Response, Problem> {
    let order = match wanted(app, headers)? {
        Wish::Job(order) => order,
        Wish::Now => {
            Parameters::new(&pairs)?;
            let admission = app.work.admit_picture(Cost::of_body(announced_length(headers)))?;
            let mut ordered = ordered(app, pairs, headers, body, usual, stored).await?;
            ordered.reserve()?;
            drop(admission);
            return ordered.make(app).await;
        }
    };
    ordered(app, pairs, headers, body, usual, stored).await?.submit(app, order).await
}

/// Reads and judges the picture.
async fn ordered(
    app: &App,
    mut pairs: Pairs,
    headers: &HeaderMap,
    body: Body,
    usual: Answer,
    stored: PictureForm,
) -> Result<Ordered, Problem> {
    Parameters::new(&pairs)?;
    let accept = Accept::new(headers);
    let Received { picture, fields } = receive(app, headers, body).await?;
    pairs.extend(fields);
    let parameters = Parameters::new(&pairs)?;
    let form = match parameters.answer.unwrap_or(usual) {
        Answer::Picture => PictureForm::Picture,
        Answer::Stored => stored,
    };
    let Picture { bytes: source, header, reservation } = picture;
    let transparency = if header.has_alpha { Transparency::Transparent } else { Transparency::Opaque };
    // Who asks for JSON says nothing about pictures.
    let accept = match form {
        PictureForm::Stored | PictureForm::Uploaded if accept.picture().is_none() => Accept::anything(),
        _ => accept,
    };
    let transform = parameters.transform(&accept, transparency)?;
    let plan = image::plan(&header, &transform, &app.limits)?;
    let charge = Charge::new(reservation);
    let source = charged_source(source, &charge);
    Ok(Ordered { picture: MakePicture { source, transform, limits: app.limits.clone() }, plan, charge, form })
}

impl Ordered {
    /// Takes the memory that the work needs out of the budget.
    fn reserve(&mut self) -> Result<(), Problem> {
        let bytes = charge_of(&self.plan, self.picture.source.len() as u64);
        self.charge.try_grow(bytes).map_err(|exhausted| refused(&exhausted))
    }

    /// Makes it now.
    async fn make(self, app: &App) -> Result<Response, Problem> {
        let Ordered { picture, plan, charge, form } = self;
        let (made, time) = app.work.make_picture(Cost::of_picture(&plan), picture).await?;
        let MadePicture { bytes, stages } = made?;
        let Plan { width, height, format, .. } = plan;
        let length = bytes.len() as u64;
        if length > charge.bytes() || Format::sniff(&bytes) != Some(format) {
            return Err(not_as_planned(length));
        }
        charge.shrink_to(length);
        let outcome = match form {
            PictureForm::Picture => Outcome::Picture(charged(bytes, charge)),
            PictureForm::Stored | PictureForm::Uploaded => {
                let id = store(app, charged(bytes, charge), move |store, bytes| store.put(format, bytes)).await?;
                Outcome::Stored { id, bytes: length }
            }
        };
        let time = WorkTime { stages: Some(stages), ..time };
        Ok(rendered(&Made { outcome, width, height, format }, form, time))
    }

    /// Has it made some time.
    async fn submit(self, app: &App, order: Order) -> Result<Response, Problem> {
        let task = QueuedPicture { picture: self.picture, form: self.form };
        order.submit(app, &task).await
    }
}

/// The answer of a job that has ended: what it would have been at once.
pub(crate) async fn queued(
    app: &App,
    job: JobId,
    made: Result<MadePicture, image::Error>,
    form: PictureForm,
    time: WorkTime,
) -> Result<Response, Problem> {
    let MadePicture { bytes, stages } = made?;
    let length = bytes.len() as u64;
    // What was planned is not known any more: the bytes say what they are, and what they are is harmless.
    let header = image::probe(&bytes).map_err(|_| not_as_planned(length))?;
    let ((width, height), format) = (header.upright_size(), header.format);
    let Some(id) = ImageId::of_job(*job.as_bytes(), format) else { return Err(not_as_planned(length)) };
    let bytes = charged(bytes, Charge::new(reserve(&app.budget, length)?));
    let outcome = match form {
        PictureForm::Picture => Outcome::Picture(bytes),
        PictureForm::Stored | PictureForm::Uploaded => {
            store(app, bytes, move |store, bytes| store.put_as(id, bytes)).await?;
            Outcome::Stored { id, bytes: length }
        }
    };
    let time = WorkTime { stages: Some(stages), ..time };
    Ok(rendered(&Made { outcome, width, height, format }, form, time))
}

fn not_as_planned(length: u64) -> Problem {
    tracing::error!(bytes = length, "a decoder gave something else than what was planned");
    Problem::new(Code::Internal, "the decoder did not make what was planned; it is logged")
}

fn rendered(made: &Made, form: PictureForm, time: WorkTime) -> Response {
    let response = match (&made.outcome, form) {
        (Outcome::Picture(bytes), _) => sent(made, bytes.clone()),
        (Outcome::Stored { id, bytes }, PictureForm::Uploaded) => {
            Json(told(made, *id, *bytes, Some("Image processed successfully!"))).into_response()
        }
        (Outcome::Stored { id, bytes }, _) => {
            (StatusCode::CREATED, [(LOCATION, path(*id))], Json(told(made, *id, *bytes, None))).into_response()
        }
    };
    finished(response, time)
}

/// Stores a result off the event loop. The worker does it itself: where pictures are decoded there are no files.
async fn store<T: Send + 'static>(
    app: &App,
    bytes: Bytes,
    put: impl FnOnce(&Store, &[u8]) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let store = Arc::clone(&app.store);
    let stored = spawn_blocking(move || put(&store, &bytes)).await;
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

/// JSON about a stored picture. Paths are relative to this server, because it cannot know under which name it is reached.
fn told(made: &Made, id: ImageId, bytes: u64, message: Option<&str>) -> Value {
    let path = path(id);
    let mut body = json!({
        "id": id.to_string(), "path": path, "url": path,
        "width": made.width, "height": made.height, "bytes": bytes, "format": made.format.name(),
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
