//! The stream of a connection: notes what moves on it, and closes it so that the last answer arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::accept::UnreadPlace;
use super::connection::short_answer;
use super::sweeper::{Mark, Order, Phase};

/// After our last byte, a client that may still be sending gets this long to take it: closing at once would make the
/// kernel throw a reset at it, and the reset overtakes the answer. (nginx: `lingering_time`, 30 s.)
const LINGER: Duration = Duration::from_secs(2);

/// Most bytes that are thrown away while lingering.
const LINGER_BYTES: usize = 32 * 1024 * 1024;

/// Bytes thrown away at once. The buffer stays untouched.
const DISCARD_AT_ONCE: usize = 64 * 1024;

/// A TCP connection that keeps its [`Mark`] up to date.
pub(super) struct WatchedStream {
    stream: TcpStream,
    mark: Arc<Mark>,
    /// Given back when the stream was read for the first time.
    unread: Option<UnreadPlace>,
    closing: Closing,
}

enum Closing {
    No,
    Lingering { until: Pin<Box<Sleep>>, discarded: usize },
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, mark: Arc<Mark>, unread: UnreadPlace) -> WatchedStream {
        WatchedStream { stream, mark, unread: Some(unread), closing: Closing::No }
    }

    /// Says 408 where hyper cannot: there is no request yet. The end of the stream follows.
    fn answer_time_out(&mut self) {
        let answer = short_answer("408 Request Timeout", "the head of the request did not arrive in time");
        // Non-blocking: the buffer of a connection on which nothing was answered is empty.
        let _ = self.stream.try_write(answer.as_bytes());
        // What the client sent meanwhile must not turn our close into a reset.
        let mut rest = [0; 4096];
        while matches!(self.stream.try_read(&mut rest), Ok(1..)) {}
    }

    /// Throws away what the client still sends, until it closes, or time or bytes are used up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Closing::Lingering { until, discarded } = &mut self.closing else { return Poll::Ready(Ok(())) };
        while *discarded < LINGER_BYTES && until.as_mut().poll(cx).is_pending() {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_io(Interest::READABLE, || discard(&self.stream)) {
                Ok(0) => break,
                Ok(count) => *discarded += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Throws away what waits in the receive buffer of a TCP socket: with `MSG_TRUNC` the kernel does not even copy it
/// (tcp(7)).
fn discard(stream: &TcpStream) -> io::Result<usize> {
    let mut unused = [std::mem::MaybeUninit::uninit(); DISCARD_AT_ONCE];
    let (_, count) = rustix::net::recv(stream, &mut unused, RecvFlags::TRUNC)?;
    Ok(count)
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.mark.order() == Order::TimeOut {
            self.answer_time_out();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.unread = None;
        if buffer.filled().len() > before {
            self.mark.read();
        }
        polled
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.mark.touch();
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.mark.touch();
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.mark.more_may_come() {
                return Poll::Ready(Ok(()));
            }
            self.mark.enter(Phase::Lingering);
            self.closing = Closing::Lingering { until: Box::pin(tokio::time::sleep(LINGER)), discarded: 0 };
        }
        self.poll_linger(cx)
    }
}
