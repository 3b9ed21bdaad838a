//! [`Readable`]: the end of a stream that is read.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use phalanx_thread::Cancellation;

use crate::driver::{Driver, new_slot};
use crate::finished::{Ends, Finished};
use crate::forward::Feed;
use crate::joint::{Joint, Side, WRITING_END, stream_mark};
use crate::source::SourceEnd;
use crate::state::Phase;
use crate::stop::Stop;
use crate::writable::Writable;
use crate::{Error, IntoSource, Pipe, Source, Stage, pipeline};

/// The end of a stream that is read: item by item with [`next`](Readable::next), as a
/// [`Stream`] of results, and if it gives [`Chunk`](crate::Chunk)s as an [`AsyncRead`](tokio::io::AsyncRead).
///
/// Nothing is read before it is polled, and then at most up to its high-water mark ahead (Node's paused mode; whoever
/// polls in a loop has the flowing one). It gives at most one error, which does not wait behind items, and then the
/// end. Dropped before its end, it destroys what it reads from.
///
/// ```
/// use phalanx_stream::{Readable, map};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut squares = Readable::from_iter(1..4_u32).through(map(|n| Ok(n * n)));
/// let mut sum = 0;
/// while let Some(square) = squares.next().await {
///     sum += square?;
/// }
/// assert_eq!(sum, 14);
/// # Ok::<(), phalanx_stream::Error>(()) }).unwrap();
/// ```
pub struct Readable<T: Send + 'static> {
    pub(crate) joint: Arc<Joint<T>>,
    pub(crate) drivers: Vec<Arc<Driver>>,
    pub(crate) slot: u64,
    /// Taken from the joint and put back: the next to be given.
    pub(crate) put_back: Option<T>,
    is_over: bool,
    stop: Stop,
}

impl<T: Send + 'static> Unpin for Readable<T> {}

impl<T: Send + 'static> Readable<T> {
    pub(crate) fn of(joint: Arc<Joint<T>>) -> Readable<T> {
        Readable { joint, drivers: Vec::new(), slot: new_slot(), put_back: None, is_over: false, stop: Stop::default() }
    }

    pub(crate) fn driven_by(mut self, driver: Arc<Driver>) -> Readable<T> {
        self.joint.set_driven(Side::Writing);
        self.drivers.push(driver);
        self
    }

    /// What a source gives.
    pub fn new(source: impl IntoSource<Item = T>) -> Readable<T> {
        Readable::with_mark(stream_mark::<T>(), source)
    }

    /// The same with a high-water mark: bytes for chunks, else items.
    pub fn with_mark(mark: usize, source: impl IntoSource<Item = T>) -> Readable<T> {
        let source = source.into_source();
        match source.end {
            SourceEnd::Async(from) => {
                let (to, readable) = ends(mark);
                readable.driven_by(Driver::new(Feed { what: source.what, from, to }))
            }
            SourceEnd::Blocking(_) => piped(mark, pipeline(source)),
        }
    }

    /// The items of an iterator, by Node's name.
    #[expect(clippy::should_implement_trait, reason = "FromIterator could not ask for `Send`")]
    pub fn from_iter<I>(items: I) -> Readable<T>
    where
        I: IntoIterator<Item = T>,
        I::IntoIter: Send + 'static,
    {
        Readable::new(Source::iter(items))
    }

    /// The same, with a transform behind it.
    pub fn through<S: Stage<In = T>>(self, stage: S) -> Readable<S::Out> {
        pipeline(self).through(stage).into_readable()
    }

    /// The next; `None` is the end. An error comes once, the end follows. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// Puts one back, to be the next (Node's `unshift`).
    ///
    /// Errors: the item, if one was put back already.
    pub fn put_back(&mut self, item: T) -> Result<(), T> {
        if self.put_back.is_some() {
            return Err(item);
        }
        self.put_back = Some(item);
        Ok(())
    }

    /// Ends it with an error before its end: all that hangs on it hears this error, and what waits is dropped. Of
    /// several errors the first counts.
    pub fn destroy(&mut self, error: Error) {
        self.put_back = None;
        self.joint.fail(&error);
        self.drivers.iter().for_each(|driver| driver.nudge());
    }

    /// Destroys it when the word is said, which may be now: [`Error::Aborted`].
    pub fn abort_by(mut self, cancellation: &Cancellation) -> Readable<T> {
        self.stop.at(cancellation, &self.joint);
        self
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.joint.phase(Side::Reading)
    }

    /// What was read ahead and waits: bytes for chunks, else items (Node's `readableLength`).
    pub fn waiting(&self) -> usize {
        self.joint.waiting()
    }

    /// Its high-water mark, in the same measure.
    pub fn mark(&self) -> usize {
        self.joint.mark()
    }

    /// The next, for implementations of [`Stream`] and the like.
    pub(crate) fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        if let Some(item) = self.put_back.take() {
            return Poll::Ready(Some(Ok(item)));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            match self.joint.poll_take(context) {
                Poll::Ready(Some(item)) => {
                    if item.is_err() {
                        self.over();
                    }
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => return self.poll_end(context),
                Poll::Pending => {}
            }
            let mut has_changed = false;
            for driver in &self.drivers {
                match driver.poll(self.slot, context) {
                    Poll::Ready(Err(error)) => self.joint.fail(&error),
                    Poll::Ready(Ok(())) => self.joint.gave_up(WRITING_END),
                    Poll::Pending => {}
                }
                has_changed = self.joint.has_for_reader();
            }
            if !has_changed {
                return Poll::Pending;
            }
        }
    }

    /// The end has come: it is told when nothing behind it runs any more.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        for driver in &self.drivers {
            match driver.poll(self.slot, context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.joint.fail(&error);
                    self.over();
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        self.joint.finish_reading();
        self.over();
        Poll::Ready(None)
    }

    fn over(&mut self) {
        self.is_over = true;
        self.drivers.clear();
    }
}

impl<T: Send + 'static> Pipe<T> {
    /// What the pipeline gives, as a [`Readable`] that drives it while it is polled: the body of an HTTP answer, say.
    ///
    /// Dropping it gives the pipeline up. The end is told when no part of it runs any more.
    ///
    /// ```
    /// use futures_util::TryStreamExt;
    /// use phalanx_stream::{Source, map, pipeline};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let squares = pipeline(Source::iter(1..4_u64)).through(map(|n: u64| Ok(n * n))).into_readable();
    /// assert_eq!(squares.try_collect::<Vec<_>>().await?, [1, 4, 9]);
    /// # Ok::<(), phalanx_stream::Error>(()) }).unwrap();
    /// ```
    pub fn into_readable(self) -> Readable<T> {
        piped(stream_mark::<T>(), self)
    }
}

fn piped<T: Send + 'static>(mark: usize, pipe: Pipe<T>) -> Readable<T> {
    let (writable, readable) = ends(mark);
    readable.driven_by(Driver::running(pipe.into(writable)))
}

/// Two ends with nothing between them but a mark.
pub(crate) fn ends<T: Send + 'static>(mark: usize) -> (Writable<T>, Readable<T>) {
    let joint = Arc::new(Joint::new(mark));
    (Writable::of(joint.clone()), Readable::of(joint))
}

impl<T: Send + 'static> Stream for Readable<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        self.poll_item(context)
    }
}

impl<T: Send + 'static> IntoSource for Readable<T> {
    type Item = T;

    fn into_source(self) -> Source<T> {
        Source::stream("the stream", self)
    }
}

impl<T: Send + 'static> Ends for Readable<T> {
    fn finished(&self) -> Finished {
        Finished::of(&self.joint, Side::Reading, &self.drivers)
    }
}

impl<T: Send + 'static> Drop for Readable<T> {
    fn drop(&mut self) {
        self.drivers.iter().for_each(|driver| driver.forget(self.slot));
        self.joint.close(Side::Reading);
    }
}

impl<T: Send + 'static> std::fmt::Debug for Readable<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Readable");
        shown.field("phase", &self.phase()).field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
