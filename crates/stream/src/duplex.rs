//! [`Duplex`]: a stream that is written and read; [`pass_through`] and [`duplex_of`], which are made of one.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::driver::Driver;
use crate::finished::{Ends, Finished};
use crate::joint::stream_mark;
use crate::readable::ends;
use crate::{Error, Pipe, Readable, Stage, Writable, pipeline};

/// Both sides of something: what is written to `writable`, and what is read from `readable`. A socket, a transform, a
/// conversation with a child process.
///
/// Each side ends by itself (Node's `allowHalfOpen: true`), unless [`ends_together`](Duplex::ends_together).
///
/// # Node's rules, here
///
/// | in Node | here |
/// |---|---|
/// | `highWaterMark` is a threshold; `write()` says `false` from there on, and takes more | [`try_write`](Writable::try_write) says [`Mark::Reached`](crate::Mark), and refuses more; [`write`](Writable::write)`.await` waits |
/// | `drain` once, when the buffer is empty | [`drained`](Writable::drained)`.await` |
/// | `end()`, then `finish`, then `close` | [`end`](Writable::end)`.await`: all has arrived; [`phase`](Writable::phase) |
/// | `push()`, `push(null)`, then `end`, then `close` | the writing end of a [`pass_through`]: `write`, `end`; the reader gets `None` |
/// | `ERR_STREAM_WRITE_AFTER_END`, `…_PUSH_AFTER_EOF` destroy the stream | [`Error::WriteAfterEnd`] for that writer; what was written before arrives |
/// | `null` and chunks of a wrong type throw | do not compile; an empty chunk is nothing |
/// | a failed write: all that is buffered gets the same error, then `error` once | everybody who waits or comes later hears the same [`Error`]; the reader once |
/// | `destroy(error)`: the first counts, later ones are ignored | the same, by [`destroy`](Duplex::destroy); what waits is dropped |
/// | `pipe` leaves the other side open on an error | does not exist |
/// | `pipeline` destroys all on the first error | [`pipeline()`](crate::pipeline()); every part is told the first error |
/// | premature close | dropped before its end: [`Error::PrematureClose`] for the other side, and the sink is aborted |
/// | `finished` | [`finished()`](crate::finished()), before or after it is so |
/// | `allowHalfOpen` | as above |
/// | `Transform`: `flush` before the end, backpressure on both sides | [`duplex_of`] any stage |
/// | `readableFlowing`, `pause`, `resume` | whoever polls lets it flow |
/// | `unshift` | [`put_back`](Readable::put_back) |
/// | leaving `for await` destroys | dropping a [`Readable`] does |
/// | `cork`, `uncork`, `writev` | [`cork`](Writable::cork), which holds no more than the mark; one `writev` for what waits |
/// | an `AbortSignal` | [`abort_by`](Readable::abort_by) a [`Cancellation`](phalanx_thread::Cancellation); dropping the future of a pipeline, or its abort handle |
/// | `map`, `filter`, … one at a time | [`map()`](crate::map()) and others, [in parallel and in order](crate::Map::parallel) |
/// | `compose` | [`compose`](crate::compose()); a duplex may also stand in the middle of a pipeline |
pub struct Duplex<In: Send + 'static, Out: Send + 'static> {
    /// What is read from it.
    pub readable: Readable<Out>,
    /// What is written to it.
    pub writable: Writable<In>,
    half_open: HalfOpen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HalfOpen {
    Allowed,
    Refused,
}

/// A [`Duplex`] that gives what is written to it (Node's `PassThrough`), with a high-water mark: bytes for chunks, else
/// items. Its writing side has finished when its end was said, also if nobody has read yet.
///
/// Split, it is how a program pushes items of its own into a [`Readable`].
pub fn pass_through<T: Send + 'static>(mark: usize) -> Duplex<T, T> {
    let (writable, readable) = ends(mark);
    Duplex::new(readable, writable)
}

/// A transform, or several in a row, as a [`Duplex`] (Node's `Transform`): what is written comes out transformed.
///
/// It works while either side is polled. Its writing side has finished when all has come through, so something must
/// read meanwhile.
///
/// ```
/// use phalanx_stream::{duplex_of, map};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut numbers, mut squares) = duplex_of(map(|n: u64| Ok(n * n))).split();
/// let writing = async {
///     for n in 0..4 {
///         numbers.write(n).await?;
///     }
///     numbers.end().await
/// };
/// let reading = async {
///     let mut sum = 0;
///     while let Some(square) = squares.next().await {
///         sum += square?;
///     }
///     Ok(sum)
/// };
/// assert_eq!(tokio::try_join!(writing, reading)?, ((), 14));
/// # Ok::<(), phalanx_stream::Error>(()) }).unwrap();
/// ```
pub fn duplex_of<S: Stage>(stage: S) -> Duplex<S::In, S::Out> {
    let (writable, inside) = ends(stream_mark::<S::In>());
    let (back, readable) = ends(stream_mark::<S::Out>());
    let driver = Driver::running(pipeline(inside).through(stage).into(back));
    Duplex::new(readable.driven_by(driver.clone()), writable.driven_by(driver))
}

impl<In: Send + 'static, Out: Send + 'static> Duplex<In, Out> {
    /// Of two sides.
    pub fn new(readable: Readable<Out>, writable: Writable<In>) -> Duplex<In, Out> {
        Duplex { readable, writable, half_open: HalfOpen::Allowed }
    }

    /// The end of what is read also ends what is written (Node's `allowHalfOpen: false`), if both sides are used
    /// through this one.
    pub fn ends_together(mut self) -> Duplex<In, Out> {
        self.half_open = HalfOpen::Refused;
        self
    }

    /// Its sides, for two tasks.
    pub fn split(self) -> (Writable<In>, Readable<Out>) {
        (self.writable, self.readable)
    }

    /// The next of what is read; also moves on what was written.
    pub async fn next(&mut self) -> Option<Result<Out, Error>> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// Waits for room and writes. See [`Writable::write`].
    pub async fn write(&mut self, item: In) -> Result<(), Error> {
        self.writable.write(item).await
    }

    /// Says the end of what is written, and waits until it has arrived. See [`Writable::end`].
    pub async fn end(&mut self) -> Result<(), Error> {
        self.writable.end().await
    }

    /// Ends both sides with an error.
    pub fn destroy(&mut self, error: Error) {
        self.writable.destroy(error.clone());
        self.readable.destroy(error);
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Out, Error>>> {
        // What was written waits for nobody to write more.
        self.writable.drive(context);
        let item = ready!(self.readable.poll_item(context));
        if item.is_none()
            && self.half_open == HalfOpen::Refused
            && let Err(error) = ready!(self.writable.poll_end(context))
        {
            self.half_open = HalfOpen::Allowed;
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(item)
    }
}

impl<In: Send + 'static, Out: Send + 'static> Stream for Duplex<In, Out> {
    type Item = Result<Out, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Out, Error>>> {
        self.poll_item(context)
    }
}

impl<In: Send + 'static, Out: Send + 'static> futures_sink::Sink<In> for Duplex<In, Out> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.writable.poll_writable(context)
    }

    fn start_send(self: Pin<&mut Self>, item: In) -> Result<(), Error> {
        self.writable.put(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.writable.poll_flushed(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.writable.poll_end(context)
    }
}

/// In the middle of a pipeline: everything is written to it, and the pipeline goes on with what is read from it.
impl<In: Send + 'static, Out: Send + 'static> Stage for Duplex<In, Out> {
    type In = In;
    type Out = Out;

    fn attach(self, pipe: Pipe<In>) -> Pipe<Out> {
        let (writable, readable) = self.split();
        let (threads, pool) = (pipe.hands(), pipe.given_pool().cloned());
        let driver = Driver::running(pipe.into(writable));
        let behind = pipeline(readable.driven_by(driver)).threads(threads);
        match pool {
            Some(pool) => behind.pool(&pool),
            None => behind,
        }
    }
}

impl<In: Send + 'static, Out: Send + 'static> Ends for Duplex<In, Out> {
    fn finished(&self) -> Finished {
        self.writable.finished().and(self.readable.finished())
    }
}

impl<In: Send + 'static, Out: Send + 'static> std::fmt::Debug for Duplex<In, Out> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Duplex");
        shown.field("readable", &self.readable).field("writable", &self.writable).finish_non_exhaustive()
    }
}
