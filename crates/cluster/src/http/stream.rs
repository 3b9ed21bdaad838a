//! The stream of a connection: notes what moves on it, tells HTTP/1.1 from HTTP/2 by its first bytes, and closes it so
//! that the last answer arrives.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use phalanx_shared::{Field, Slot};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::door::UnreadPlace;
use super::mark::{Mark, Order, Phase};
use super::problem;
use super::sweeper::Ticket;
use super::transport::Transport;

/// After our last byte, a client that may still be sending gets this long to take it: closing at once would make the
/// kernel throw a reset at it, and the reset overtakes the answer. (nginx: `lingering_time`, 30 s.)
const LINGER: Duration = Duration::from_secs(2);

/// Most bytes that are thrown away while lingering.
const LINGER_BYTES: usize = 32 * 1024 * 1024;

/// Bytes that are read before it is clear which protocol the client speaks: the whole head of most requests, so that
/// no read is made twice.
const FIRST_READ: usize = 4 * 1024;

/// What a client that knows we speak HTTP/2 begins with (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// HTTP/2: a write of this many bytes or fewer may be but an answer to the client's PING or SETTINGS, or our own PING.
/// A client that takes such and no more makes no progress.
const CONTROL_FRAMES: usize = 64;

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) ticket: Ticket,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.slot.subtract(Field::Connections, 1);
        if self.ticket.mark().phase() == Phase::Upgraded {
            self.slot.subtract(Field::Upgraded, 1);
        }
    }
}

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection that keeps its [`Mark`] up to date. It is counted as long as this exists, also in the hands of a
/// service that upgraded it.
#[derive(Debug)]
pub(super) struct WatchedStream {
    io: Transport,
    mark: Arc<Mark>,
    /// What was read before the protocol was known, and is to be read again.
    first: BytesMut,
    /// Given back when the stream was read for the first time.
    unread: Option<UnreadPlace>,
    closing: Closing,
    open: Open,
}

#[derive(Debug)]
enum Closing {
    No,
    Lingering { until: Pin<Box<Sleep>>, discarded: usize },
}

impl WatchedStream {
    pub(super) fn new(io: Transport, open: Open, unread: Option<UnreadPlace>) -> WatchedStream {
        let mark = Arc::clone(open.ticket.mark());
        WatchedStream { io, mark, first: BytesMut::new(), unread, closing: Closing::No, open }
    }

    pub(super) fn mark(&self) -> &Arc<Mark> {
        &self.mark
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.io.is_encrypted()
    }

    pub(super) fn open(&self) -> &Open {
        &self.open
    }

    /// The first byte that waits to be read; it stays there. An error at the end of the stream.
    #[cfg(feature = "tls")]
    pub(super) async fn first_byte(&mut self) -> io::Result<u8> {
        let byte = self.io.socket().peek_byte().await;
        self.unread = None;
        byte
    }

    /// Takes the transport out, for a handshake on it.
    #[cfg(feature = "tls")]
    pub(super) fn into_parts(self) -> (Transport, Open) {
        (self.io, self.open)
    }

    /// Reads until it is clear what the client speaks. `None` if the connection ended before, or was told to.
    pub(super) async fn protocol(&mut self) -> Option<Protocol> {
        let mark = Arc::clone(&self.mark);
        let mut bytes = BytesMut::with_capacity(FIRST_READ);
        loop {
            let read = self.read_buf(&mut bytes);
            if !matches!(unless_closed(&mark, read).await, Some(Ok(1..))) {
                return None;
            }
            if let Some(protocol) = spoken(&bytes) {
                self.first = bytes;
                return Some(protocol);
            }
        }
    }

    /// Says 408 where hyper cannot: there is no request yet. The end of the stream follows.
    fn answer_time_out(&mut self, cx: &mut Context<'_>) {
        self.open.slot.add(Field::Responses4xx, 1);
        let answer = problem::response("408 Request Timeout", "the head of the request did not arrive in time");
        // The buffer of a connection on which nothing is being answered is empty: there is room.
        let _ = Pin::new(&mut self.io).poll_write(cx, answer.as_bytes());
        let _ = Pin::new(&mut self.io).poll_flush(cx);
        // What the client sent meanwhile must not turn our close into a reset.
        let mut discarded = 0;
        while let Poll::Ready(Ok(count @ 1..)) = self.io.socket().poll_discard(cx) {
            discarded += count;
            if discarded >= LINGER_BYTES {
                break;
            }
        }
    }

    /// Throws away what the client still sends, until it closes, or time or bytes are used up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Closing::Lingering { until, discarded } = &mut self.closing else { return Poll::Ready(Ok(())) };
        while *discarded < LINGER_BYTES && until.as_mut().poll(cx).is_pending() {
            match ready!(self.io.socket().poll_discard(cx)) {
                Ok(count @ 1..) => *discarded += count,
                Ok(0) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The service that took this connection over has to hear of orders by reading or writing: there is no connection
    /// task any more.
    fn is_closed_for_service(&self, cx: &Context<'_>) -> bool {
        if self.mark.phase() != Phase::Upgraded {
            return false;
        }
        self.mark.listen(cx.waker());
        self.mark.order() == Order::Close
    }

    fn note_written(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = polled
            && (*count > CONTROL_FRAMES || !self.mark.is_multiplexed())
        {
            self.mark.touch();
        }
    }
}

/// What a client speaks that begins with these bytes; `None` while it may be either.
fn spoken(bytes: &[u8]) -> Option<Protocol> {
    if bytes.starts_with(HTTP2_PREFACE) {
        Some(Protocol::Http2)
    } else if HTTP2_PREFACE.starts_with(bytes) {
        None
    } else {
        Some(Protocol::Http1)
    }
}

/// What comes out of `future`; `None` if the connection is told to close before.
pub(super) async fn unless_closed<F: Future>(mark: &Mark, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        mark.listen(cx.waker());
        match mark.order() {
            Order::Close => Poll::Ready(None),
            _ => future.as_mut().poll(cx).map(Some),
        }
    })
    .await
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(count));
            if self.first.is_empty() {
                self.first = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        if self.mark.order() == Order::TimeOut {
            self.answer_time_out(cx);
            return Poll::Ready(Ok(()));
        }
        if self.is_closed_for_service(cx) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.unread = None;
        if buffer.filled().len() > before {
            self.mark.read();
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_closed_for_service(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note_written(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_closed_for_service(cx) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note_written(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if !self.mark.more_may_come() || self.mark.phase() == Phase::Upgraded {
                return Poll::Ready(Ok(()));
            }
            self.mark.enter(Phase::Lingering);
            self.closing = Closing::Lingering { until: Box::pin(tokio::time::sleep(LINGER)), discarded: 0 };
        }
        self.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_is_told_from_http1_by_its_preface_alone() {
        for length in 0..HTTP2_PREFACE.len() {
            assert_eq!(spoken(&HTTP2_PREFACE[..length]), None);
        }
        assert_eq!(spoken(HTTP2_PREFACE), Some(Protocol::Http2));
        for other in ["GET / HTTP/1.1", "P /", "POST /", "PRI * HTTP/1.1\r\n", "\0"] {
            assert_eq!(spoken(other.as_bytes()), Some(Protocol::Http1), "{other}");
        }
    }
}
