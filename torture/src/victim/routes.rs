//! What the victim answers: the id of the request, the pid of the worker, its generation.
//!
//! Any path answers at once, but `/slow` (waits `ms` milliseconds), `/hang` (the event loop stands still for ever), `/ws`
//! (a WebSocket) and `/upload` (reads the body first and tells its length as a fourth word).

use std::convert::Infallible;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use phalanx_cluster::{Peer, Worker};

use crate::websocket;

/// The service of one worker.
pub(crate) fn service(
    worker: &Worker,
) -> impl tower::Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
+ use<> {
    let (pid, generation) = (worker.pid(), worker.generation());
    tower::service_fn(move |mut request: Request<Incoming>| async move {
        let Some(id) = id(&request) else {
            return Ok(answer(StatusCode::BAD_REQUEST, "the ids of path and header differ".into()));
        };
        let mut words = format!("{id} {pid} {generation}");
        match request.uri().path() {
            "/ws" => {
                let peer = request.extensions().get::<Peer>().cloned();
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(websocket::serve(upgrade, peer, pid, generation));
                return Ok(switching_protocols());
            }
            "/slow" => tokio::time::sleep(Duration::from_millis(number(&request, "ms"))).await,
            "/hang" => loop {
                std::thread::park();
            },
            "/upload" => match request.into_body().collect().await {
                Ok(body) => words.push_str(&format!(" {}", body.to_bytes().len())),
                Err(_) => return Ok(answer(StatusCode::BAD_REQUEST, "the body ended early".into())),
            },
            _ => {}
        }
        Ok(answer(StatusCode::OK, words))
    })
}

fn answer(status: StatusCode, words: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    response
}

fn switching_protocols() -> Response<Full<Bytes>> {
    let mut response = answer(StatusCode::SWITCHING_PROTOCOLS, String::new());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// The id, if path and header agree on it.
fn id(request: &Request<Incoming>) -> Option<String> {
    let of_path = parameter(request, "id").unwrap_or_default();
    match request.headers().get("x-id") {
        Some(of_header) if of_header.as_bytes() != of_path.as_bytes() => None,
        _ => Some(of_path.to_owned()),
    }
}

fn number(request: &Request<Incoming>, name: &str) -> u64 {
    parameter(request, name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn parameter<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
