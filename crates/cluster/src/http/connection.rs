//! One connection: hyper, told from outside when to finish.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use phalanx_shared::Field;
use tokio::io::AsyncWriteExt;

use super::mark::{Mark, Order, Phase};
use super::peer::{Client, Peer};
use super::problem;
use super::service::Counted;
use super::stream::{Protocol, WatchedStream, unless_closed};
use super::web_service::WebService;

/// Most bytes of a request's head; in HTTP/1.1 also the largest piece in which a body is read.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// HTTP/2: most streams of one connection at once (RFC 9113 advises against fewer).
const MAX_STREAMS: u32 = 100;

/// HTTP/2: bytes of a body that a client may send before the service reads them, for each stream and for all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// HTTP/2: bytes of a response that lie in memory, for each stream, when the client does not take them.
const SEND_BUFFER: usize = 64 * 1024;

/// HTTP/2: most streams that a client reset before we began with them, and most that we reset for its mistakes; then
/// GOAWAY (CVE-2023-44487, CVE-2025-8671).
const MAX_PENDING_RESETS: usize = 20;
const MAX_OWN_RESETS: usize = 100;

/// HTTP/2: while streams are open, a client is asked this often whether it lives, and has this long to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// On which terms connections are served.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    pub(super) request_timeout: Option<Duration>,
    /// TLS on TCP connections.
    #[cfg(feature = "tls")]
    pub(super) encryption: Option<Arc<rustls::ServerConfig>>,
}

/// Serves one connection until it ends, or until the service took it over.
pub(super) async fn serve<S: WebService>(mut stream: WatchedStream, client: Client, terms: Terms, service: S) {
    if stream.open().ticket.over_limit() {
        return refuse(stream).await;
    }
    #[cfg(feature = "tls")]
    if let (Some(config), Client::Tcp(_)) = (&terms.encryption, &client) {
        // In a box: its state is large, and gone when it is done.
        let Some(encrypted) = Box::pin(stream.encrypt(config)).await else { return };
        stream = encrypted;
    }
    let Some(protocol) = stream.protocol().await else { return };
    let mark = Arc::clone(stream.mark());
    let peer = Peer::new(Arc::clone(&mark), client, stream.is_encrypted());
    let slot = Arc::clone(&stream.open().slot);
    let counted = Counted { service, peer, mark: Arc::clone(&mark), slot, request_timeout: terms.request_timeout };
    match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .half_close(false)
                .header_read_timeout(None)
                // Not with `pipeline_flush`: hyper then never sends an answer that is given while a part of the body
                // lies unread in its buffer (crates/server/tests/bad_input.rs, the chunked body).
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), counted)
                .with_upgrades();
            // A head that is arriving is answered, and the answer says that it was the last.
            let may_finish = |mark: &Mark| mark.order() >= Order::Finish && mark.phase() != Phase::Head;
            drive(connection, &mark, may_finish, |connection| connection.graceful_shutdown()).await;
        }
        Protocol::Http2 => {
            mark.speaks_http2();
            counted.slot.add(Field::Http2Connections, 1);
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(MAX_HEAD_BYTES as u32)
                .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
                .max_local_error_reset_streams(MAX_OWN_RESETS)
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_DEADLINE)
                .serve_connection(TokioIo::new(stream), counted);
            let may_finish = |mark: &Mark| mark.order() >= Order::Announce;
            // In a box: its state is large, and most connections are not of this kind.
            Box::pin(drive(connection, &mark, may_finish, |connection| connection.graceful_shutdown())).await;
        }
    }
}

/// Lets hyper work until the connection ends, or is told to close; `finish` is called when it may finish.
async fn drive<C: Future>(
    connection: C,
    mark: &Mark,
    may_finish: impl Fn(&Mark) -> bool,
    finish: impl Fn(Pin<&mut C>),
) {
    let mut connection = pin!(connection);
    let mut finishing = false;
    poll_fn(|cx| {
        mark.listen(cx.waker());
        if mark.order() == Order::Close {
            return Poll::Ready(());
        }
        // A client that breaks its connection is its own business, and is no news.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !finishing && may_finish(mark) {
            finishing = true;
            finish(connection.as_mut());
            return connection.as_mut().poll(cx).map(|_| ());
        }
        Poll::Pending
    })
    .await;
}

/// One short answer to a client that has too many connections, and the end.
async fn refuse(mut stream: WatchedStream) {
    let mark = Arc::clone(stream.mark());
    stream.open().slot.add(Field::Refused, 1);
    stream.open().slot.add(Field::Responses4xx, 1);
    let answer = problem::response("429 Too Many Requests", "too many connections from this address");
    let refusal = async {
        if stream.write_all(answer.as_bytes()).await.is_ok() {
            let _ = stream.shutdown().await;
        }
    };
    unless_closed(&mark, refusal).await;
}
