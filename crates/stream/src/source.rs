//! [`Source`]: where a pipeline reads.

use std::io::Read;
use std::pin::Pin;

use futures_core::Stream;
use futures_util::TryStreamExt;

use crate::file::Identity;
use crate::{Buffers, Cause, Chunk, Error, Interrupt};

/// A source whose reads block the thread: files, standard input, anything that is [`Read`].
pub trait BlockingSource: Send + 'static {
    /// What it gives.
    type Item: Send + 'static;

    /// The next, or `None` at the end. A source of bytes fills a chunk of `buffers`.
    fn read(&mut self, buffers: &Buffers) -> Result<Option<Self::Item>, Cause>;

    /// Whether the next item is there without waiting for anybody: then several are read at a time.
    fn is_at_hand(&self) -> bool {
        false
    }

    /// Whether a read may take as long as it likes (a terminal, a socket). After an error, [`Pipeline::run`](crate::Pipeline::run) waits for a
    /// read that is under way a second at most if so, else as long as it takes.
    fn may_wait_for_ever(&self) -> bool {
        true
    }

    /// The pipeline failed or was given up; it is dropped then.
    fn abort(&mut self, error: &Error) {
        let _ = error;
    }

    /// What ends a read that waits in another thread; asked once, before the first read. A source whose reads never wait
    /// for long has none.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }
}

/// What a [`pipeline`](crate::pipeline) can begin with.
pub trait IntoSource {
    /// What it gives: [`Chunk`] for bytes, or any type of item.
    type Item: Send + 'static;

    /// As a source, with a name for errors.
    fn into_source(self) -> Source<Self::Item>;
}

/// Where a pipeline reads.
pub struct Source<T> {
    pub(crate) what: String,
    pub(crate) total: Option<u64>,
    pub(crate) identity: Option<Identity>,
    pub(crate) end: SourceEnd<T>,
}

pub(crate) enum SourceEnd<T> {
    Blocking(Box<dyn BlockingSource<Item = T>>),
    Async(Pin<Box<dyn Stream<Item = Result<T, Cause>> + Send>>),
}

impl<T: Send + 'static> Source<T> {
    /// One whose reads block, with its name for errors.
    pub fn blocking(what: impl Into<String>, source: impl BlockingSource<Item = T>) -> Source<T> {
        Source { what: what.into(), total: None, identity: None, end: SourceEnd::Blocking(Box::new(source)) }
    }

    /// Any stream of results, with its name for errors.
    pub fn stream<S, E>(what: impl Into<String>, stream: S) -> Source<T>
    where
        S: Stream<Item = Result<T, E>> + Send + 'static,
        E: Into<Cause> + 'static,
    {
        Source {
            what: what.into(),
            total: None,
            identity: None,
            end: SourceEnd::Async(Box::pin(stream.map_err(Into::into))),
        }
    }

    /// The items of an iterator.
    pub fn iter<I>(items: I) -> Source<T>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Source::blocking("the iterator", Items(items.into_iter()))
    }

    /// Says how many bytes or items will come, for progress.
    pub fn total(mut self, total: u64) -> Source<T> {
        self.total = Some(total);
        self
    }
}

impl Source<Chunk> {
    /// Anything that is [`Read`], with its name for errors.
    pub fn reader(what: impl Into<String>, reader: impl Read + Send + 'static) -> Source<Chunk> {
        Source::blocking(what, Reader(reader))
    }
}

impl<T: Send + 'static> IntoSource for Source<T> {
    type Item = T;

    fn into_source(self) -> Source<T> {
        self
    }
}

struct Reader<R>(R);

impl<R: Read + Send + 'static> BlockingSource for Reader<R> {
    type Item = Chunk;

    fn read(&mut self, buffers: &Buffers) -> Result<Option<Chunk>, Cause> {
        let mut chunk = buffers.take();
        loop {
            match self.0.read(chunk.room()) {
                Ok(0) => return Ok(None),
                Ok(bytes) => {
                    chunk.filled(bytes);
                    return Ok(Some(chunk));
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct Items<I>(I);

impl<I: Iterator<Item: Send + 'static> + Send + 'static> BlockingSource for Items<I> {
    type Item = I::Item;

    fn read(&mut self, _: &Buffers) -> Result<Option<I::Item>, Cause> {
        Ok(self.0.next())
    }

    /// An iterator that knows how many are left has no need to wait for them.
    fn is_at_hand(&self) -> bool {
        self.0.size_hint().0 > 0
    }

    fn may_wait_for_ever(&self) -> bool {
        self.0.size_hint().0 == 0
    }
}
