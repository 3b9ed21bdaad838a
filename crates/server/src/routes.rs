//! Which path does what.

mod images;
mod page;
mod probes;
mod process;
mod sample;
mod stored;

use crate::app::App;
use crate::problem::{Code, Problem};
use crate::request;
use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

/// The whole service.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(page::get))
        .route("/sample.jpg", get(sample::get))
        .route("/process", post(process::post))
        .route("/upload", post(images::upload))
        .route("/v1/images", post(images::create))
        .route("/v1/images/{id}", get(stored::get))
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
