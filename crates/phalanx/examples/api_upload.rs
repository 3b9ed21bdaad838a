//! A one-page axum app that resizes an upload in a worker thread.
//!
//! `cargo run --release --example api_upload -- --port 3000`, then `curl -F image=@photo.jpg localhost:3000/upload`.
//! The small picture is written into the folder after `--store` (default `./uploads`) under a name of our own; the
//! upload itself never touches the disk.

use std::path::PathBuf;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::post;
use phalanx::image::{Jpeg, Size, thumbnail};
use phalanx::thread::{JobError, ThreadPool};
use serde_json::{Value, json};

/// Largest upload that is read.
const MAX_BYTES: usize = 25 * 1024 * 1024;
/// Widest picture that is made.
const WIDTH: u32 = 800;

#[derive(Clone)]
struct App {
    pool: ThreadPool,
    store: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    phalanx::init()?;
    let store = PathBuf::from(argument("--store").unwrap_or_else(|| "uploads".into()));
    std::fs::create_dir_all(&store)?;
    phalanx::cluster()
        .listen(format!("127.0.0.1:{}", argument("--port").unwrap_or_else(|| "3000".into())))
        .on_event(|event| println!("{event}"))
        .run(|worker| async move {
            let (permits, owner) = worker.permits();
            let pool = ThreadPool::builder().permits(permits, owner).build()?;
            let app = Router::new()
                .route("/upload", post(upload))
                .layer(DefaultBodyLimit::max(MAX_BYTES))
                .with_state(App { pool, store });
            Ok(worker.http().serve(app).await?)
        })?;
    Ok(())
}

async fn upload(State(app): State<App>, mut form: Multipart) -> Result<Json<Value>, (StatusCode, String)> {
    let bad = |error: axum::extract::multipart::MultipartError| (error.status(), error.body_text());
    while let Some(field) = form.next_field().await.map_err(bad)? {
        if field.name() != Some("image") {
            continue;
        }
        let bytes = field.bytes().await.map_err(bad)?;
        // On a thread of the pool: decode, resize, encode, write. The event loop serves others meanwhile.
        let job = app.pool.spawn(move |_| {
            let small = thumbnail(&bytes, Size::width(WIDTH), Jpeg::quality(80)).map_err(|error| error.to_string())?;
            let path = app.store.join(format!("{}-{}.jpg", std::process::id(), unique()));
            std::fs::write(&path, &small.bytes).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(path)
        });
        return match job.await {
            Ok(Ok(path)) => Ok(Json(json!({ "message": "Image processed successfully!", "resultPath": path }))),
            Ok(Err(error)) => Err((StatusCode::UNPROCESSABLE_ENTITY, error)),
            Err(error @ JobError::Refused(_)) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
            Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        };
    }
    Err((StatusCode::BAD_REQUEST, "no file in the field \"image\"".into()))
}

/// A number that this process has not given before.
fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The argument after `name`.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
