//! The program of the HTTP tests: one server, set up by its environment.

use std::convert::Infallible;
use std::time::Duration;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper_util::rt::TokioIo;
use phalanx_cluster::{HealthGate, HttpServer, Peer, Worker, cluster};
use phalanx_shared::{Field, Histogram};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The answer to the key of the example in RFC 6455, 1.3.
pub(crate) const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A close frame with the status "going away" (RFC 6455, 7.4.1).
pub(crate) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

fn millis(name: &str) -> Option<Duration> {
    std::env::var(name).ok().map(|text| Duration::from_millis(text.parse().unwrap()))
}

/// `TEST_WORKERS`, `TEST_LISTEN`, `TEST_DRAIN`, `TEST_GATE` (a path); in the workers `TEST_IDLE`, `TEST_HEAD`,
/// `TEST_REQUEST` (milliseconds), `TEST_CERTIFICATE`, `TEST_KEY`.
pub(crate) fn run() -> Result<(), phalanx_cluster::Error> {
    let workers = std::env::var("TEST_WORKERS").map_or(1, |text| text.parse().unwrap());
    let listen = std::env::var("TEST_LISTEN").unwrap_or_else(|_| "127.0.0.1:0".into());
    let mut cluster = cluster().listen(listen).workers(workers).on_event(|event| println!("{event}"));
    if let Some(deadline) = millis("TEST_DRAIN") {
        cluster = cluster.drain_deadline(deadline);
    }
    if let Ok(path) = std::env::var("TEST_GATE") {
        cluster = cluster.health_gate(HealthGate::path(path));
    }
    cluster.run(|worker| async move {
        let service = tower::service_fn({
            let worker = worker.clone();
            move |request| answer(worker.clone(), request)
        });
        Ok(server(&worker)?.serve(service).await?)
    })
}

fn server(worker: &Worker) -> Result<HttpServer, AnyError> {
    let mut server = worker.http();
    if let Some(timeout) = millis("TEST_IDLE") {
        server = server.idle_timeout(timeout);
    }
    if let Some(timeout) = millis("TEST_HEAD") {
        server = server.header_timeout(timeout);
    }
    if let Some(timeout) = millis("TEST_REQUEST") {
        server = server.request_timeout(timeout);
    }
    #[cfg(feature = "tls")]
    if let (Ok(certificate), Ok(key)) = (std::env::var("TEST_CERTIFICATE"), std::env::var("TEST_KEY")) {
        let tls = phalanx_cluster::Tls::from_files(certificate, key)?;
        server = server.tls(tls.look_every(Duration::from_millis(20)));
    }
    Ok(server)
}

async fn answer(worker: Worker, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let pid = worker.pid().to_string();
    let text = match request.uri().path() {
        "/slow" => {
            let millis = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(millis)).await;
            pid
        }
        // A body that begins and never ends.
        "/stall" => {
            let body = Stalling { begun: false };
            return Ok(Response::new(body.boxed_unsync()));
        }
        // Held until the file of the test is there; healthy unless the other one is.
        "/readyz" => return Ok(readiness(request.headers()).await),
        "/figures" => figures(&worker),
        "/peer" => {
            let peer = request.extensions().get::<Peer>().unwrap();
            format!("{:?} {:?} {}", peer.address(), peer.credentials(), peer.is_encrypted())
        }
        "/length" => request.body_mut().collect().await.map_or(0, |body| body.to_bytes().len()).to_string(),
        "/websocket" | "/deaf" => return Ok(websocket(request)),
        _ => pid,
    };
    Ok(full(200, text))
}

fn full(status: u16, text: String) -> Answer {
    Response::builder().status(status).body(Full::from(text).boxed_unsync()).unwrap()
}

async fn readiness(headers: &HeaderMap) -> Answer {
    let folder = std::env::var("TEST_FOLDER").unwrap();
    let is_there = |name: &str| std::path::Path::new(&folder).join(name).exists();
    if !headers.contains_key("phalanx-probe") {
        return full(400, "this is for probes".into());
    }
    std::fs::write(std::path::Path::new(&folder).join("probed"), "").unwrap();
    while is_there("wait") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if is_there("sick") { full(503, "no\ndatabase".into()) } else { full(200, "fine".into()) }
}

/// What this worker says of itself.
fn figures(worker: &Worker) -> String {
    let page = worker.scoreboard();
    let mut text: String = Field::ALL.iter().map(|field| format!("{field:?} {}\n", page.get(*field))).collect();
    text += &format!("Timed {}\n", page.histogram(Histogram::Request).read().count());
    text
}

/// Gives back what it gets, without looking into it; says goodbye when it is told to, unless it is deaf.
fn websocket(mut request: Request<Incoming>) -> Answer {
    let peer = request.extensions().get::<Peer>().unwrap().clone();
    let deaf = request.uri().path() == "/deaf";
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut bytes = [0; 1024];
        loop {
            tokio::select! {
                () = peer.leaving(), if !deaf => {
                    let _ = stream.write_all(&GOING_AWAY).await;
                    return;
                }
                read = stream.read(&mut bytes) => match read {
                    Ok(count @ 1..) => stream.write_all(&bytes[..count]).await.unwrap(),
                    _ => return,
                }
            }
        }
    });
    let mut answer = full(101, String::new());
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, "websocket".parse().unwrap());
    headers.insert(CONNECTION, "upgrade".parse().unwrap());
    headers.insert(SEC_WEBSOCKET_ACCEPT, WEBSOCKET_ACCEPT.parse().unwrap());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer
}

struct Stalling {
    begun: bool,
}

impl Body for Stalling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.begun, true) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Ok(Frame::data("some".into()))))
    }
}
