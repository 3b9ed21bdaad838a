//! One connection: hyper, told from outside when to finish.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ::http::{Request, Response};
use bytes::Buf;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use phalanx_shared::{Field, Slot};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower_service::Service;

use super::accept::UnreadPlace;
use super::service::Counted;
use super::stream::WatchedStream;
use super::sweeper::{Order, Phase, Ticket};
use crate::builder::AnyError;

/// Most bytes of a request's head; also the largest piece in which a body is read.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// An open connection, counted on the scoreboard until it is dropped.
pub(super) struct Open {
    pub(super) ticket: Ticket,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.slot.subtract(Field::Connections, 1);
    }
}

/// Serves one connection until it ends.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    peer: std::net::SocketAddr,
    open: Open,
    unread: UnreadPlace,
    service: S,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<AnyError>,
    B: Body + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<AnyError>,
{
    let mark = Arc::clone(open.ticket.mark());
    let stream = WatchedStream::new(stream, Arc::clone(&mark), unread);
    if open.ticket.over_limit() {
        return refuse(stream).await;
    }
    let counted = Counted { service, peer, mark: Arc::clone(&mark), slot: Arc::clone(&open.slot) };
    let connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None)
        // Not with `pipeline_flush`: hyper then never sends an answer that is given while a part of the body lies unread in
        // its buffer (crates/server/tests/bad_input.rs, the chunked body).
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), counted)
        .with_upgrades();
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
        // A connection on which nothing was read yet may have a request under way to us: hyper would close it, so it
        // is left to the sweeper.
        if mark.order() == Order::Finish && !finishing && mark.phase() != Phase::Fresh {
            finishing = true;
            connection.as_mut().graceful_shutdown();
            return connection.as_mut().poll(cx).map(|_| ());
        }
        Poll::Pending
    })
    .await;
    drop(open);
}

/// One short answer to a client that has too many connections, and the end.
async fn refuse(mut stream: WatchedStream) {
    let answer = short_answer("429 Too Many Requests", "too many connections from this address");
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

/// A whole response with a problem document, for the moments in which there is no request to answer.
pub(super) fn short_answer(status: &str, why: &str) -> String {
    let (code, title) = status.split_once(' ').unwrap_or((status, ""));
    let body =
        format!(r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{why}","error":"{why}"}}"#);
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
