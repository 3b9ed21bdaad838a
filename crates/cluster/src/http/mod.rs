//! HTTP/1.1 and HTTP/2 on the cluster's listeners, for any tower service.
//!
//! ```text
//!   listener ─► gate ─► accept one ┐                 ┌─ HTTP/1.1 ┐
//!   dispatcher, other workers ─────┼─► (TLS) ─► what does it speak?  ├─► hyper ─► your service
//!   a probe of the primary ────────┘                 └─ HTTP/2 ──┘        │
//!      ▲                                                                  └─ marks what it does: head, request,
//!      │ pauses at max_connections                                           response, idle, streams, upgraded
//!      └─ one a turn of the event loop                                                   ▲
//!                                              sweeper ─ ends what takes too long, or ───┘
//!                                                        whose time has come when the worker leaves
//! ```
//!
//! There is no timer for each request: a connection notes what it is doing and since when, and one task looks at all
//! of them a few times a second.
//!
//! | file | idea |
//! |---|---|
//! | `serve` | from the first connection to the last: ready, listening, leaving |
//! | `accept`, `door` | the ways in, and the room behind them |
//! | `transport`, `tls`, `stream` | what carries a connection; its first bytes; its last |
//! | `connection` | hyper on one connection, told from outside when to finish |
//! | `service`, `body`, `clock` | one request: counted, marked, timed |
//! | `mark`, `sweeper`, `drain` | what all connections do, how long they may, how they end |
//! | `probe` | the worker asks itself |

mod accept;
mod body;
mod clock;
mod connection;
mod door;
mod drain;
mod mark;
mod peer;
mod probe;
mod problem;
mod serve;
mod service;
mod stream;
mod sweeper;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod web_service;

use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Buf;
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

pub use self::peer::{Credentials, Peer};
#[cfg(feature = "tls")]
pub use self::tls::Tls;
use crate::Error;
use crate::builder::AnyError;
use crate::worker::Inner;

/// What a connection may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    pub(crate) request_timeout: Option<Duration>,
}

/// An HTTP server of one worker. Made by [`Worker::http`](crate::Worker::http).
#[derive(Debug)]
#[must_use = "a server does nothing until `serve` is called"]
pub struct HttpServer {
    worker: Arc<Inner>,
    limits: Limits,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl HttpServer {
    pub(crate) fn new(worker: Arc<Inner>) -> HttpServer {
        let limits = Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(60),
            max_connections: 2048,
            max_connections_per_ip: 64,
            request_timeout: None,
        };
        HttpServer {
            worker,
            limits,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Longest time from the opening of a connection, or from the first byte of a further request, to the end of the
    /// request's head. Default 10 s; then 408 and the connection is closed.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.limits.header_timeout = timeout;
        self
    }

    /// Longest time that a connection may be idle between two requests. Default 15 s; then it is closed.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = timeout;
        self
    }

    /// Longest time in which a client takes no byte of a response. Default 60 s; then the connection is closed.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.limits.write_timeout = timeout;
        self
    }

    /// Longest time from the end of a request's head to the end of its response. Default: none; the service has its own
    /// deadlines. A request that has no answer by then is answered 504 and the service's future is dropped; an answer
    /// that has begun and is not at its end is broken off, and its connection (in HTTP/2: its stream) closed. Not for
    /// connections that were upgraded.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.limits.request_timeout = Some(timeout);
        self
    }

    /// Serves HTTPS on all TCP listeners. Unix sockets stay as they are: who is there is on this machine. A plain HTTP
    /// request is answered 400.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Most connections that this worker holds at once. Default 2048. Further ones wait in the kernel's backlog, where
    /// the other workers find them.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.max_connections = most.max(1);
        self
    }

    /// Most connections of one client address in this worker. Default 64; further ones are answered with 429 and
    /// closed. Clients on a loopback address (a proxy in front of us) are not counted.
    pub fn max_connections_per_ip(mut self, most: usize) -> Self {
        self.limits.max_connections_per_ip = most.max(1);
        self
    }

    /// Serves until this worker has to leave, then finishes what is under way within the drain deadline, and returns.
    /// Says that the worker is ready as soon as connections are accepted.
    pub async fn serve<S, B>(self, service: S) -> Result<(), Error>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<AnyError>,
        S::Future: Send,
        B: Body + Send + 'static,
        B::Data: Buf + Send,
        B::Error: Into<AnyError>,
    {
        serve::serve(self, service).await
    }
}
