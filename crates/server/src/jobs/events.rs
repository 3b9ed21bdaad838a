//! `GET /v1/jobs/{id}/events`: status and progress as server-sent events, until the end.
//!
//! ```text
//! id: 7
//! event: status
//! data: {"id":"…","state":"leased","progress":{"done":3,"total":10},…}
//! ```
//!
//! `id` is the version of the status: a client that comes back with `Last-Event-ID` is told only what is newer. A comment each 15 s keeps
//! proxies from closing the connection. The stream ends with the job, with this worker, or when nothing is known of the job any more.

use super::status::described;
use crate::app::App;
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use phalanx_queue::{Error, JobId, JobStatus, Queue};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

/// Streams that one worker has open.
pub(crate) const MOST_STREAMS: usize = 256;
/// From one sign of life to the next.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After an answer that told nothing new, or none.
const PAUSE: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

struct Stream {
    app: App,
    queue: Queue,
    job: JobId,
    seen: u64,
    /// What is to be told first.
    first: Option<JobStatus>,
    over: bool,
    _place: OwnedSemaphorePermit,
}

/// The stream of a job.
pub(crate) async fn events(app: App, job: JobId, headers: &HeaderMap) -> Result<Response, Problem> {
    let queue = app.jobs.queue().await?;
    let first = queue.store().changed(job, 0, Duration::ZERO).await?;
    let place = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        Problem::new(Code::Overloaded, format!("{MOST_STREAMS} streams are open in this worker; ask for the status"))
            .retry_after(PAUSE)
    })?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    // One that has ended is told of in any case: nothing else would ever come.
    let first = Some(first).filter(|status| status.version != seen || status.state.is_end());
    let stream = Stream { app, queue, job, seen, first, over: false, _place: place };
    let body = stream::unfold(stream, |mut stream| async move {
        let told = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(told)), stream))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(body)).into_response())
}

impl Stream {
    /// What is told next; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(self.tell(&first));
        }
        let asked = Instant::now();
        let store = self.queue.store();
        let changed = tokio::select! {
            changed = store.changed(self.job, self.seen, HEARTBEAT) => changed,
            () = self.app.worker.shutdown() => {
                self.over = true;
                return Some(": this worker stops; come again\n\n".to_owned());
            }
        };
        match changed {
            Ok(status) if status.version != self.seen => return Some(self.tell(&status)),
            Ok(_) => {}
            Err(Error::NoSuchJob { .. }) => {
                self.over = true;
                return Some("event: gone\ndata: {}\n\n".to_owned());
            }
            Err(error) if error.is_passing() => {}
            Err(error) => {
                self.over = true;
                return Some(format!("event: error\ndata: {}\n\n", json!({ "error": error.to_string() })));
            }
        }
        if asked.elapsed() < PAUSE {
            sleep(PAUSE).await;
        }
        Some(": still there\n\n".to_owned())
    }

    fn tell(&mut self, status: &JobStatus) -> String {
        self.seen = status.version;
        self.over = status.state.is_end();
        format!("id: {}\nevent: status\ndata: {}\n\n", status.version, described(status))
    }
}
