//! Which path does what.

mod compress;
mod encrypt;
mod hash;
pub(crate) mod images;
mod jobs;
mod page;
mod probes;
pub(crate) mod process;
mod sample;
mod stored;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::request;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};

/// The whole service.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page::get))
        .route("/sample.jpg", get(sample::get))
        .route("/process", post(process::post))
        .route("/upload", post(images::upload))
        .route("/v1/images", post(images::create))
        .route("/v1/images/{id}", get(stored::get))
        .route("/v1/compress", post(compress::compress))
        .route("/v1/decompress", post(compress::decompress))
        .route("/v1/encrypt", post(encrypt::encrypt))
        .route("/v1/decrypt", post(encrypt::decrypt))
        .route("/v1/hash/{algorithm}", post(hash::post))
        .route("/v1/jobs", get(jobs::list).post(jobs::create))
        .route("/v1/jobs/{id}", get(jobs::status).delete(jobs::cancel))
        .route("/v1/jobs/{id}/result", get(jobs::result))
        .route("/v1/jobs/{id}/events", get(jobs::events))
        .route("/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/v1/queues", get(jobs::queues))
        .route("/whoami", get(probes::whoami))
        .route("/livez", get(probes::livez))
        .route("/metrics", get(probes::metrics))
        .route("/readyz", get(probes::readyz))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing_here)
        .layer(from_fn_with_state(app.clone(), request::answer))
        .with_state(app)
}

/// The router adds `Allow`.
async fn wrong_method(request: Request) -> Problem {
    Problem::new(
        Code::MethodNotAllowed,
        format!("{} does not take {}; Allow tells what it takes", request.uri().path(), request.method()),
    )
}

async fn nothing_here(request: Request) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}; / has a page to begin with", request.uri().path()))
}

/// The headers of an answer that a browser shall save, and never show as if it were a page of ours.
fn opaque(media_type: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (CONTENT_TYPE, media_type),
        (CONTENT_DISPOSITION, "attachment"),
        (CONTENT_SECURITY_POLICY, stored::PICTURE_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ]
}
