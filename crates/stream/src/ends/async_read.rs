//! [`AsyncRead`] as a source, and a [`Readable`] of bytes as an [`AsyncRead`].

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::{CHUNK_BYTES, Cause, Chunk, Duplex, Error, Readable, Source};

impl Source<Chunk> {
    /// Anything that is [`AsyncRead`], with its name for errors: a socket, the output of a child process.
    pub fn async_read(what: impl Into<String>, reader: impl AsyncRead + Send + 'static) -> Source<Chunk> {
        Source::stream(what, Reading { reader: Box::pin(reader), buffer: Chunk::default() })
    }
}

/// A read that fills less than this part of a buffer is copied out of it: a chunk weighs what it holds, so a buffer
/// with few bytes would take far more memory than the marks say.
const SHORT: usize = CHUNK_BYTES / 4;

struct Reading<R> {
    reader: Pin<Box<R>>,
    buffer: Chunk,
}

impl<R: AsyncRead> Stream for Reading<R> {
    type Item = Result<Chunk, Cause>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Chunk, Cause>>> {
        let Reading { reader, buffer } = &mut *self;
        if buffer.room().is_empty() {
            *buffer = Chunk::with_room(CHUNK_BYTES);
        }
        let mut room = ReadBuf::new(buffer.room());
        let read = loop {
            match ready!(reader.as_mut().poll_read(context, &mut room)) {
                Ok(()) => break room.filled().len(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        };
        if read == 0 {
            return Poll::Ready(None);
        }
        if read < SHORT {
            return Poll::Ready(Some(Ok(Chunk::from(&buffer.room()[..read]))));
        }
        let mut chunk = std::mem::take(buffer);
        chunk.filled(read);
        Poll::Ready(Some(Ok(chunk)))
    }
}

/// An error as those of `std::io`: of the same kind, if it came from there, and with the error inside.
pub(super) fn as_io(error: Error) -> io::Error {
    let kind = match &error {
        Error::WriteAfterEnd => io::ErrorKind::BrokenPipe,
        Error::PrematureClose { .. } => io::ErrorKind::UnexpectedEof,
        other => other.cause_as::<io::Error>().map_or(io::ErrorKind::Other, io::Error::kind),
    };
    io::Error::new(kind, error)
}

impl AsyncBufRead for Readable<Chunk> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.put_back.as_ref().is_none_or(|chunk| chunk.is_empty()) {
            this.put_back = None;
            match ready!(this.poll_item(context)) {
                None => return Poll::Ready(Ok(&[])),
                Some(Ok(chunk)) => this.put_back = Some(chunk),
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
        Poll::Ready(Ok(this.put_back.as_deref().unwrap_or_default()))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        if let Some(chunk) = &mut self.put_back {
            chunk.advance(amount);
        }
    }
}

impl AsyncRead for Readable<Chunk> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let there = ready!(self.as_mut().poll_fill_buf(context))?;
        let fits = there.len().min(buffer.remaining());
        buffer.put_slice(&there[..fits]);
        self.consume(fits);
        Poll::Ready(Ok(()))
    }
}

impl<In: Send + 'static> AsyncRead for Duplex<In, Chunk> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.writable.drive(context);
        pin!(&mut self.readable).poll_read(context, buffer)
    }
}
