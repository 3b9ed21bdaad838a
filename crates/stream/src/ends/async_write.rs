//! [`AsyncWrite`] as a sink, and a [`Writable`] of bytes as an [`AsyncWrite`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::ends::async_read::as_io;
use crate::{AsyncSink, CHUNK_BYTES, Cause, Chunk, Duplex, Sink, Writable};

impl Sink<Chunk> {
    /// Anything that is [`AsyncWrite`], with its name for errors: a socket, the input of a child process. At the end it
    /// is flushed, its writing half is shut down, and it is dropped, which is what ends a pipe.
    ///
    /// Chunks that wait are written together.
    pub fn async_write(what: impl Into<String>, writer: impl AsyncWrite + Send + 'static) -> Sink<Chunk> {
        Sink::polled(what, Writing { writer: Some(Box::pin(writer)), queue: VecDeque::new(), weight: 0 })
    }
}

/// Chunks in one system call.
const MOST_SLICES: usize = 64;

struct Writing<W> {
    /// `None` after the end.
    writer: Option<Pin<Box<W>>>,
    queue: VecDeque<Chunk>,
    weight: usize,
}

impl<W: AsyncWrite> Writing<W> {
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        while let (Some(first), Some(writer)) = (self.queue.front(), &mut self.writer) {
            let written = if self.queue.len() == 1 || !writer.is_write_vectored() {
                writer.as_mut().poll_write(context, first)
            } else {
                let mut slices = [IoSlice::new(&[]); MOST_SLICES];
                let mut count = 0;
                for (slice, chunk) in slices.iter_mut().zip(&self.queue) {
                    *slice = IoSlice::new(chunk);
                    count += 1;
                }
                writer.as_mut().poll_write_vectored(context, &slices[..count])
            };
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
                Ok(bytes) => self.forget(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn forget(&mut self, mut bytes: usize) {
        self.weight -= bytes.min(self.weight);
        while let Some(first) = self.queue.front_mut() {
            if bytes < first.len() {
                return first.advance(bytes);
            }
            bytes -= first.len();
            self.queue.pop_front();
        }
    }
}

impl<W: AsyncWrite + Send + 'static> AsyncSink for Writing<W> {
    type Item = Chunk;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        if self.weight < CHUNK_BYTES && self.queue.len() < MOST_SLICES {
            return Poll::Ready(Ok(()));
        }
        self.poll_written(context)
    }

    fn start_send(mut self: Pin<&mut Self>, chunk: Chunk) -> Result<(), Cause> {
        if !chunk.is_empty() {
            self.weight += chunk.len();
            self.queue.push_back(chunk);
        }
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        ready!(self.poll_written(context))?;
        let Some(writer) = &mut self.writer else { return Poll::Ready(Ok(())) };
        writer.as_mut().poll_flush(context).map_err(Cause::from)
    }

    fn poll_finish(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        ready!(self.poll_written(context))?;
        let Some(writer) = &mut self.writer else { return Poll::Ready(Ok(())) };
        ready!(writer.as_mut().poll_shutdown(context))?;
        self.writer = None;
        Poll::Ready(Ok(()))
    }
}

/// Takes at most this much in one call.
const MOST_BYTES: usize = CHUNK_BYTES;

impl AsyncWrite for Writable<Chunk> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_writable(context)).map_err(as_io)?;
        let taken = &bytes[..bytes.len().min(MOST_BYTES)];
        self.joint.put_bytes(taken).map_err(as_io)?;
        self.drive(context);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(context).map_err(as_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(context).map_err(as_io)
    }
}

impl<Out: Send + 'static> AsyncWrite for Duplex<Chunk, Out> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.writable).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(pin!(&mut self.writable), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.writable).poll_shutdown(context)
    }
}
