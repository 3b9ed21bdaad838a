//! A one-page axum app: a cluster plus a thread pool; the event loop never blocks.
//!
//! `cargo run --release --example api_process -- --port 3000`, then
//! `curl localhost:3000/process -H 'content-type: application/json' -d '{"numbers":[10,20,30,40]}'`
//! answers `{"result":[75306,75596,75886,76176]}`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use phalanx::thread::{JobError, ThreadPool};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<u32>,
}

#[derive(Serialize)]
struct Processed {
    result: Vec<u64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    phalanx::init()?;
    phalanx::cluster().listen(format!("127.0.0.1:{}", port())).on_event(|event| println!("{event}")).run(
        |worker| async move {
            let (permits, owner) = worker.permits();
            let pool = ThreadPool::builder().permits(permits, owner).build()?;
            let app = Router::new()
                .route("/process", post(process))
                .route("/livez", get(|| async { "ok\n" })) // answers at once, whatever the pool does
                .with_state(pool);
            Ok(worker.http().serve(app).await?)
        },
    )?;
    Ok(())
}

async fn process(
    State(pool): State<ThreadPool>,
    Json(input): Json<Numbers>,
) -> Result<Json<Processed>, (StatusCode, String)> {
    let job = pool.spawn(move |_| input.numbers.into_iter().map(heavy_work).collect());
    match job.await {
        Ok(result) => Ok(Json(Processed { result })),
        // The queue is bounded: a full pool says so at once, and the client may come back.
        Err(error @ JobError::Refused(_)) => Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// About 3 ms of work that no compiler can shorten.
fn heavy_work(number: u32) -> u64 {
    (0..1_000_000).fold(u64::from(number), |r, _| (r * 17 + 13) % 99991)
}

/// The number after `--port`; 3000 without it.
fn port() -> u16 {
    std::env::args()
        .skip_while(|argument| argument != "--port")
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000)
}
