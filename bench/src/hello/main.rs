//! The server that `bench hello` and `bench gate` measure: an axum router behind the public `cluster()` API.
//!
//! `BENCH_LISTEN` and `BENCH_WORKERS` say where and how many; `BENCH_GATE=off` removes the gate; `BENCH_LISTENER=reuseport`
//! replaces the cluster by the plainest thing that Rust offers ([`by_hand`]), to compare with.

mod by_hand;

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;

const BODY: &str = "Hello, world!";

type AnyError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), AnyError> {
    phalanx::init()?;
    let address: SocketAddr = setting("BENCH_LISTEN")?.parse()?;
    let workers: usize = setting("BENCH_WORKERS")?.parse()?;
    if std::env::var("BENCH_LISTENER").is_ok_and(|mode| mode == "reuseport") {
        return by_hand::run(address, workers);
    }
    let gate = if std::env::var("BENCH_GATE").is_ok_and(|gate| gate == "off") {
        phalanx::Gate::Off
    } else {
        phalanx::Gate::On
    };
    phalanx::cluster().listen(address).workers(workers).gate(gate).run(|worker| async move {
        let id = worker.id().to_string();
        Ok(worker.http().serve(router(&id)).await?)
    })?;
    Ok(())
}

/// `GET /` answers a constant, `GET /whoami` tells which process answered.
fn router(worker: &str) -> Router {
    let whoami = format!(r#"{{"pid":{},"worker":"{worker}"}}"#, std::process::id());
    Router::new()
        .route("/", get(async || BODY))
        .route("/whoami", get(async move || ([("content-type", "application/json")], whoami)))
}

fn setting(name: &str) -> Result<String, AnyError> {
    std::env::var(name).map_err(|_| format!("{name} must be set").into())
}
