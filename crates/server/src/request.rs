//! The outermost layer: every request gets an id, every answer its headers, every failure its body, and most a log line.

use crate::app::App;
use crate::problem::{Code, Problem};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use phalanx::image::Timings;
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const WORKER_ID: HeaderName = HeaderName::from_static("x-worker-id");
const WORKER_PID: HeaderName = HeaderName::from_static("x-worker-pid");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Longest id that a client may bring along.
const LONGEST_REQUEST_ID: usize = 64;
/// Path that health probes call every second.
const QUIET_PATH: &str = "/livez";

/// How long a request waited in line for a CPU thread, and how long it worked there. Handlers put it into the response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkTime {
    pub(crate) wait: Duration,
    pub(crate) work: Duration,
    /// For pictures, what the work was.
    pub(crate) stages: Option<Timings>,
}

impl WorkTime {
    /// As in the header `Server-Timing`, for browsers' developer tools and for measuring.
    fn header(&self) -> Option<HeaderValue> {
        let milliseconds = |d: Duration| d.as_secs_f64() * 1e3;
        let mut text = format!("wait;dur={:.2}, work;dur={:.2}", milliseconds(self.wait), milliseconds(self.work));
        if let Some(Timings { decode, resize, encode, .. }) = self.stages {
            for (name, time) in [("decode", decode), ("resize", resize), ("encode", encode)] {
                let _ = write!(text, ", {name};dur={:.2}", milliseconds(time));
            }
        }
        HeaderValue::try_from(text).ok()
    }
}

/// What a route that streams has to know of its request besides what axum tells: in the extensions of the request.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    /// For what outlives the head of the answer.
    pub(crate) id: HeaderValue,
    pub(crate) version: Version,
}

/// Makes ids that no other worker makes: random at the start of the process, then counted.
#[derive(Debug)]
pub(crate) struct RequestIds {
    start: u64,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        Ok(RequestIds { start: getrandom::u64()?, count: AtomicU64::new(1) })
    }

    /// The client's own id if it is harmless in a header and a log line, else a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |id: &&HeaderValue| {
            (1..=LONGEST_REQUEST_ID).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        headers.get(REQUEST_ID).filter(harmless).cloned().unwrap_or_else(|| {
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            let id = format!("{:016x}-{count:x}", self.start);
            HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
        })
    }
}

/// What the log line of a request says besides its outcome. Dropped before [`Line::finish`], the client is gone.
struct Line {
    id: HeaderValue,
    method: Method,
    path: String,
    begun: Instant,
    answered: bool,
}

/// Runs the routes for one request.
pub(crate) async fn answer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = app.request_ids.of(request.headers());
    let arrived = Arrived { id: id.clone(), version: request.version() };
    request.extensions_mut().insert(arrived);
    let line = Line {
        id: id.clone(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        begun: Instant::now(),
        answered: false,
    };
    let mut response = AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(request = text(&id), what, "a handler panicked");
        Problem::new(Code::Internal, "the server made a mistake; it is logged under the id of this request")
            .into_response()
    });
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = &problem {
        // Headers that the router set (Allow) stay.
        let (kept, rendered) = (std::mem::take(response.headers_mut()), problem.render(text(&id)));
        response = rendered;
        for (name, value) in kept.iter().filter(|(name, _)| *name == http::header::ALLOW) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let time = response.extensions().get::<WorkTime>().copied();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(WORKER_ID, app.worker_id.clone());
    headers.insert(WORKER_PID, app.worker_pid.clone());
    if let Some(value) = time.as_ref().and_then(WorkTime::header) {
        headers.insert(SERVER_TIMING, value);
    }
    line.finish(&app, &response, problem.as_ref(), time);
    response
}

impl Line {
    fn finish(mut self, app: &App, response: &Response, problem: Option<&Problem>, time: Option<WorkTime>) {
        self.answered = true;
        let status = response.status();
        if self.path == QUIET_PATH {
            return;
        }
        // Under overload there are thousands of refusals a second: one line a second tells their number.
        if status == StatusCode::SERVICE_UNAVAILABLE {
            if let Some(refused) = app.refusals.tell() {
                let why = problem.map_or("", Problem::detail);
                tracing::warn!(refused, why, "requests are refused");
            }
            return;
        }
        let milliseconds = |d: Duration| (d.as_secs_f64() * 1e5).round() / 1e2;
        tracing::info!(
            request = text(&self.id),
            method = self.method.as_str(),
            path = self.path,
            status = status.as_u16(),
            bytes = response.body().size_hint().exact(),
            wait_ms = time.map(|t| milliseconds(t.wait)),
            work_ms = time.map(|t| milliseconds(t.work)),
            total_ms = milliseconds(self.begun.elapsed()),
            error = problem.map(Problem::detail),
            "request"
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.answered {
            tracing::info!(
                request = text(&self.id),
                method = self.method.as_str(),
                path = self.path,
                total_ms = self.begun.elapsed().as_millis() as u64,
                "the client is gone before its answer; its work is cancelled"
            );
        }
    }
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or("unknown")
}

/// Counts refused requests and says at most once a second how many there were.
#[derive(Debug)]
pub(crate) struct Refusals {
    since: Instant,
    /// Milliseconds after `since` at which the next line may be written.
    next_line: AtomicU64,
    count: AtomicU64,
}

impl Refusals {
    const BETWEEN_LINES: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Refusals { since: Instant::now(), next_line: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    /// Counts one; gives the number since the last line if it is time for a line.
    fn tell(&self) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = self.since.elapsed().as_millis() as u64;
        let due = self.next_line.load(Ordering::Relaxed);
        let next = now + Self::BETWEEN_LINES.as_millis() as u64;
        let mine =
            now >= due && self.next_line.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        mine.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_of_the_client_is_kept_and_any_other_replaced() {
        let ids = RequestIds::new().unwrap();
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
            ids.of(&headers)
        };
        assert_eq!(of(b"abc-1.2_X"), "abc-1.2_X");
        for bad in [&b""[..], b"a b", b"\"", "é".as_bytes(), &[b'a'; 65]] {
            assert_ne!(of(bad).as_bytes(), bad);
        }
        assert_ne!(ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
    }

    #[test]
    fn refusals_are_told_once_a_second_with_their_number() {
        let refusals = Refusals::new();
        assert_eq!(refusals.tell(), Some(1));
        assert_eq!((refusals.tell(), refusals.tell()), (None, None));
        refusals.next_line.store(0, Ordering::Relaxed);
        assert_eq!(refusals.tell(), Some(3));
    }
}
