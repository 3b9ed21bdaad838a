//! One worker process per core on one port; each death is logged and replaced.
//!
//! `cargo run --release --example cluster_http -- --port 3000`, then in a second terminal:
//! `curl localhost:3000` and `kill -9` the pid that it names.

use axum::Router;
use axum::routing::get;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    phalanx::init()?;
    phalanx::cluster().listen(format!("127.0.0.1:{}", port())).on_event(|event| println!("{event}")).run(
        |worker| async move {
            let answer = format!("{{\"pid\":{},\"worker\":{}}}\n", worker.pid(), worker.id());
            let app = Router::new().route("/", get(move || std::future::ready(answer.clone())));
            Ok(worker.http().serve(app).await?)
        },
    )?;
    Ok(())
}

/// The number after `--port`; 3000 without it.
fn port() -> u16 {
    std::env::args()
        .skip_while(|argument| argument != "--port")
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(3000)
}
