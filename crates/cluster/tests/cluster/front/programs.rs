//! Clusters with a front.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use phalanx_cluster::{Cluster, Error, Logs, Worker, cluster};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Runs the program of this name, if it is one of these.
pub(crate) fn run(name: &str) -> Option<Result<(), Error>> {
    let log = || Logs::to_file(folder().join("log"));
    Some(match name {
        "controlled" => controlled().run(serve),
        "administered" => controlled().admin(([127, 0, 0, 1], 0).into()).run(serve),
        "waits-for-a-file" => controlled().run(|worker| async move {
            while !folder().join("go").exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            serve(worker).await
        }),
        "logged" => controlled().logs(log().with_events()).run(serve),
        "rotated" => controlled().logs(log().rotate_at(64 << 10).keep(2)).run(serve),
        "ask-status" => {
            let socket = PathBuf::from(std::env::var_os("TEST_SOCKET").expect("TEST_SOCKET"));
            match super::asking::ask(&socket, "GET", "/status") {
                Ok(answer) => println!("{} {}", answer.status, answer.body),
                Err(error) => println!("{error}"),
            }
            Ok(())
        }
        "unread" => controlled().logs(log().rotate_at(0)).run(serve),
        _ => return None,
    })
}

/// Where a test and its program meet.
fn folder() -> PathBuf {
    std::env::var_os("TEST_FOLDER").expect("TEST_FOLDER").into()
}

fn controlled() -> Cluster {
    let workers = std::env::var("TEST_WORKERS").map_or(2, |workers| workers.parse().unwrap());
    cluster()
        .listen("127.0.0.1:0")
        .workers(workers)
        .control(folder().join("control.sock"))
        .on_event(|event| println!("{event}"))
}

/// `/` tells the pid; `/slow?ms` waits; `/say?TEXT` writes a line; `/storm?N` writes N lines of 1000 bytes; `/die` ends the process in the
/// middle of a line; `/metrics` tells the figures of the cluster; `/burst` uses 64 MiB in small pieces and frees all but the last.
async fn serve(worker: Worker) -> Result<(), AnyError> {
    let its = worker.clone();
    let service = tower::service_fn(move |request: Request<Incoming>| {
        let worker = its.clone();
        async move {
            let argument = request.uri().query().unwrap_or_default().to_owned();
            let mut text = worker.pid().to_string();
            match request.uri().path() {
                "/slow" => tokio::time::sleep(Duration::from_millis(argument.parse().unwrap_or(0))).await,
                "/say" => println!("{}", argument.replace("%20", " ").replace("%22", "\"")),
                "/storm" => {
                    let lines = argument.parse().unwrap_or(0);
                    tokio::task::spawn_blocking(move || storm(lines)).await.map_err(std::io::Error::other)?;
                }
                "/die" => {
                    print!("my last wor");
                    let _ = std::io::stdout().flush();
                    std::process::abort();
                }
                "/metrics" => text = worker.metrics(),
                "/burst" => burst(),
                _ => {}
            }
            Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::from(text)))
        }
    });
    Ok(worker.http().serve(service).await?)
}

/// The piece that stays lies behind all others, so that the allocator cannot just make its heap shorter.
fn burst() {
    let mut pieces: Vec<Vec<u8>> = (0..64 << 10).map(|_| std::hint::black_box(vec![1; 1000])).collect();
    std::mem::forget(pieces.pop());
}

fn storm(lines: u64) {
    let mut out = std::io::stdout().lock();
    for number in 0..lines {
        let _ = writeln!(out, "{number:0>999}");
    }
}
