//! [`Sink`]: where a pipeline writes.

use std::io::Write;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use crate::file::Identity;
use crate::{Cause, Chunk, Error, Interrupt};

/// A sink whose writes block the thread: files, standard output, anything that is [`Write`].
pub trait BlockingSink: Send + 'static {
    /// What it takes.
    type Item: Send + 'static;

    /// Writes one, whole.
    fn write(&mut self, item: Self::Item) -> Result<(), Cause>;

    /// Everything has come: makes it count (flushes, renames).
    fn finish(&mut self) -> Result<(), Cause>;

    /// Whether a write may take as long as it likes (a terminal, a pipe, a socket). After an error,
    /// [`Pipeline::run`](crate::Pipeline::run) waits for a write that is under way a second at most if so, else as long as it takes.
    fn may_wait_for_ever(&self) -> bool {
        true
    }

    /// The pipeline failed or was given up: takes back what was begun. Also called after a failed write or finish.
    fn abort(&mut self, error: &Error) {
        let _ = error;
    }

    /// What ends a write that waits in another thread; asked once, before the first write. A sink whose writes never wait
    /// for long has none.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }
}

/// A sink that is polled.
pub trait AsyncSink: Send + 'static {
    /// What it takes.
    type Item: Send + 'static;

    /// Whether it takes one now.
    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>>;

    /// Takes one, after it was ready.
    fn start_send(self: Pin<&mut Self>, item: Self::Item) -> Result<(), Cause>;

    /// Passes on what it has, so that nobody waits for more input to see it.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>>;

    /// Everything has come: flushes and closes.
    fn poll_finish(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>>;

    /// The pipeline failed or was given up.
    fn abort(self: Pin<&mut Self>, error: &Error) {
        let _ = error;
    }
}

/// What a pipeline can end in.
pub trait IntoSink<T: Send + 'static> {
    /// As a sink, with a name for errors.
    fn into_sink(self) -> Sink<T>;
}

/// Where a pipeline writes.
pub struct Sink<T> {
    pub(crate) what: String,
    pub(crate) identity: Option<Identity>,
    pub(crate) end: SinkEnd<T>,
}

pub(crate) enum SinkEnd<T> {
    Blocking(Box<dyn BlockingSink<Item = T>>),
    Async(Pin<Box<dyn AsyncSink<Item = T>>>),
}

impl<T: Send + 'static> Sink<T> {
    /// One whose writes block, with its name for errors.
    pub fn blocking(what: impl Into<String>, sink: impl BlockingSink<Item = T>) -> Sink<T> {
        Sink { what: what.into(), identity: None, end: SinkEnd::Blocking(Box::new(sink)) }
    }

    /// One that is polled, with its name for errors.
    pub fn polled(what: impl Into<String>, sink: impl AsyncSink<Item = T>) -> Sink<T> {
        Sink { what: what.into(), identity: None, end: SinkEnd::Async(Box::pin(sink)) }
    }

    /// Into a channel of the standard library; a receiver that is gone is an error.
    pub fn sender(sender: mpsc::SyncSender<T>) -> Sink<T> {
        Sink::blocking("the channel", Sender(sender))
    }
}

impl Sink<Chunk> {
    /// Anything that is [`Write`], with its name for errors. It is flushed at the end.
    pub fn writer(what: impl Into<String>, writer: impl Write + Send + 'static) -> Sink<Chunk> {
        Sink::blocking(what, Writer(writer))
    }
}

impl<T: Send + 'static> IntoSink<T> for Sink<T> {
    fn into_sink(self) -> Sink<T> {
        self
    }
}

struct Writer<W>(W);

impl<W: Write + Send + 'static> BlockingSink for Writer<W> {
    type Item = Chunk;

    fn write(&mut self, chunk: Chunk) -> Result<(), Cause> {
        Ok(self.0.write_all(&chunk)?)
    }

    fn finish(&mut self) -> Result<(), Cause> {
        Ok(self.0.flush()?)
    }
}

struct Sender<T>(mpsc::SyncSender<T>);

impl<T: Send + 'static> BlockingSink for Sender<T> {
    type Item = T;

    fn write(&mut self, item: T) -> Result<(), Cause> {
        Ok(self.0.send(item).map_err(|_| "nobody receives any more")?)
    }

    fn finish(&mut self) -> Result<(), Cause> {
        Ok(())
    }
}
