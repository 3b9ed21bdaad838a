//! A worker forgets 1 KiB with each request. The cluster finds that by the trend over its requests, says it, and replaces
//! the worker, new first: no request fails.
//!
//! `cargo run --release --example memory_watch`

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use phalanx::{Event, Primary, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type AnyError = Box<dyn Error + Send + Sync>;

/// Clients that ask all the time.
const CLIENTS: usize = 4;

/// What they saw.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    failed: AtomicU64,
    enough: AtomicBool,
}

async fn primary(primary: Primary) -> Result<(), AnyError> {
    let mut events = primary.events();
    let seen = Arc::<Seen>::default();
    let mut clients = Vec::new();
    let mut after = 0;
    while let Some(event) = events.next().await {
        match event {
            Event::Listening { address, .. } if clients.is_empty() => {
                let address: SocketAddr = address.to_string().parse()?;
                clients.extend((0..CLIENTS).map(|_| tokio::spawn(ask_all_the_time(address, Arc::clone(&seen)))));
            }
            Event::Leak { worker, leak } => {
                after = seen.requests.load(Ordering::Relaxed);
                println!("worker {worker} seems to leak: {leak}");
            }
            // It was replaced, and has left.
            Event::Exit { .. } if after > 0 => break,
            _ => {}
        }
    }
    seen.enough.store(true, Ordering::Relaxed);
    for client in clients {
        client.await?;
    }
    println!("leak found after {after} requests; {} requests failed", seen.failed.load(Ordering::Relaxed));
    primary.stop()?;
    Ok(())
}

async fn ask_all_the_time(address: SocketAddr, seen: Arc<Seen>) {
    while !seen.enough.load(Ordering::Relaxed) {
        let answered = tokio::time::timeout(Duration::from_secs(10), ask(address)).await;
        seen.requests.fetch_add(1, Ordering::Relaxed);
        if !matches!(answered, Ok(Ok(true))) {
            seen.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether the answer is what it should be.
async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done\n"))
}

async fn worker(worker: Worker) -> Result<(), AnyError> {
    let app = Router::new().route("/", get(forgetful));
    Ok(worker.http().serve(app).await?)
}

async fn forgetful() -> &'static str {
    std::mem::forget(std::hint::black_box(vec![1_u8; 1024]));
    "done\n"
}

fn main() -> Result<(), Box<dyn Error>> {
    phalanx::init()?;
    phalanx::cluster().listen("127.0.0.1:0").workers(1).recycle_leaks(true).primary(primary).run(worker)?;
    Ok(())
}
