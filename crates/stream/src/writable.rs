//! [`Writable`]: the end of a stream that is written.

use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use phalanx_thread::Cancellation;

use crate::driver::{Driver, new_slot};
use crate::finished::{Ends, Finished};
use crate::forward::Forward;
use crate::joint::{Joint, Mark, READING_END, Side, stream_mark};
use crate::readable::ends;
use crate::sink::SinkEnd;
use crate::state::Phase;
use crate::stop::Stop;
use crate::{AsyncSink, Cause, Error, IntoSink, Sink, pipeline};

/// The end of a stream that is written: item by item with [`write`](Writable::write), as a
/// [`futures::Sink`](futures_sink::Sink), and if it takes [`Chunk`](crate::Chunk)s as an
/// [`AsyncWrite`](tokio::io::AsyncWrite).
///
/// At most its high-water mark waits in it, and one item. What it holds goes on while it is written, flushed or ended
/// (or polled in any other way): after [`end`](Writable::end) all has arrived. Dropped before, it destroys the stream:
/// what it writes to is told, a file that was begun is taken back.
///
/// ```
/// use phalanx_stream::{Chunk, Sink, Writable};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut writable = Writable::new(Sink::async_write("memory", Vec::new()));
/// writable.write(Chunk::from("hello ")).await?;
/// writable.write(Chunk::from("world")).await?;
/// writable.end().await?;
/// assert!(writable.write(Chunk::from("!")).await.is_err()); // after the end
/// # Ok::<(), phalanx_stream::Error>(()) }).unwrap();
/// ```
pub struct Writable<T: Send + 'static> {
    pub(crate) joint: Arc<Joint<T>>,
    driver: Option<Arc<Driver>>,
    flush: Flush,
    slot: u64,
    stop: Stop,
}

impl<T: Send + 'static> Unpin for Writable<T> {}

/// What a flush waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// Nothing: whoever reads does it when it wants to.
    Nothing,
    /// That a pipeline has taken everything: its own threads carry it on.
    Taken,
    /// That a sink has flushed.
    Flushed,
}

/// Why an item was not taken. It comes back.
pub enum Refused<T> {
    /// The high-water mark is reached: wait for [`drained`](Writable::drained).
    Full {
        /// What was to be written.
        item: T,
    },
    /// The stream has ended, or failed.
    Over {
        /// What was to be written.
        item: T,
        /// Why.
        error: Error,
    },
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Full { .. } => formatter.write_str("Full"),
            Refused::Over { error, .. } => formatter.debug_tuple("Over").field(error).finish(),
        }
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Full { .. } => formatter.write_str("the high-water mark is reached: wait until it is drained"),
            Refused::Over { error, .. } => error.fmt(formatter),
        }
    }
}

impl<T> std::error::Error for Refused<T> {}

impl<T: Send + 'static> Writable<T> {
    pub(crate) fn of(joint: Arc<Joint<T>>) -> Writable<T> {
        Writable { joint, driver: None, flush: Flush::Nothing, slot: new_slot(), stop: Stop::default() }
    }

    pub(crate) fn driven_by(mut self, driver: Arc<Driver>) -> Writable<T> {
        self.joint.set_driven(Side::Reading);
        self.driver = Some(driver);
        self.flush = Flush::Taken;
        self
    }

    /// One that writes into a sink.
    pub fn new(sink: impl IntoSink<T>) -> Writable<T> {
        Writable::with_mark(stream_mark::<T>(), sink)
    }

    /// The same with a high-water mark: bytes for chunks, else items.
    pub fn with_mark(mark: usize, sink: impl IntoSink<T>) -> Writable<T> {
        let (writable, from) = ends(mark);
        let sink = sink.into_sink();
        match sink.end {
            SinkEnd::Async(to) => {
                let forward = Forward { what: sink.what, from, to, is_over: false };
                let mut writable = writable.driven_by(Driver::new(forward));
                writable.flush = Flush::Flushed;
                writable
            }
            SinkEnd::Blocking(_) => writable.driven_by(Driver::running(pipeline(from).into(sink))),
        }
    }

    /// Waits for room and writes. Cancelled, it has not written.
    ///
    /// Errors: [`Error::WriteAfterEnd`], or the one error of the stream.
    pub async fn write(&mut self, item: T) -> Result<(), Error> {
        poll_fn(|context| self.poll_writable(context)).await?;
        self.put(item)?;
        poll_fn(|context| {
            self.drive(context);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Writes if the high-water mark is not reached, and says whether it is now (Node's `write`, which takes more and
    /// more; this one refuses). Never waits; nothing moves on before something else is awaited.
    pub fn try_write(&mut self, item: T) -> Result<Mark, Refused<T>> {
        self.joint.put(item)
    }

    /// Waits until everything that waited is taken by what follows (Node's `drain`).
    pub async fn drained(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_drained(context)).await
    }

    /// Waits until what was written has been passed on as far as can be told: through a sink, to the threads of a
    /// pipeline. Of a [`pass_through`](crate::pass_through) it does not wait for the reader.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_flushed(context)).await
    }

    /// Holds everything back until the [`Corked`] is dropped, so that it goes out together; at most up to the
    /// high-water mark.
    pub fn cork(&mut self) -> Corked<'_, T> {
        self.joint.cork();
        Corked(self)
    }

    /// Says the end, and waits until everything has arrived: written, flushed, for a file also renamed. Again, it says
    /// the same again.
    ///
    /// Of a [`pass_through`](crate::pass_through) it does not wait for the reader.
    pub async fn end(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_end(context)).await
    }

    /// Ends it with an error before its end: what it writes to hears this error. Of several the first counts.
    pub fn destroy(&mut self, error: Error) {
        self.joint.fail(&error);
        if let Some(driver) = &self.driver {
            driver.nudge();
        }
    }

    /// Destroys it when the word is said, which may be now: [`Error::Aborted`].
    pub fn abort_by(mut self, cancellation: &Cancellation) -> Writable<T> {
        self.stop.at(cancellation, &self.joint);
        self
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.joint.phase(Side::Writing)
    }

    /// What waits in it: bytes for chunks, else items (Node's `writableLength`).
    pub fn waiting(&self) -> usize {
        self.joint.waiting()
    }

    /// Its high-water mark, in the same measure.
    pub fn mark(&self) -> usize {
        self.joint.mark()
    }

    /// Ready when one can be written.
    pub(crate) fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_joint(context, |joint, context| joint.poll_room(context))
    }

    pub(crate) fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.joint.uncork();
        self.poll_joint(context, |joint, context| joint.poll_empty(context))
    }

    pub(crate) fn poll_flushed(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.flush {
            Flush::Nothing => {
                self.joint.uncork();
                Poll::Ready(Ok(()))
            }
            Flush::Taken => self.poll_drained(context),
            Flush::Flushed => {
                self.joint.uncork();
                self.poll_joint(context, |joint, context| joint.poll_flushed(context))
            }
        }
    }

    /// Moves on what was written, without waiting for anything.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        let Some(driver) = &self.driver else { return };
        match driver.poll(self.slot, context) {
            Poll::Ready(Err(error)) => self.joint.fail(&error),
            Poll::Ready(Ok(())) => self.joint.gave_up(READING_END),
            Poll::Pending => {}
        }
    }

    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.joint.end();
        if let Some(driver) = &self.driver {
            match ready!(driver.poll(self.slot, context)) {
                Ok(()) => self.joint.finish_writing(),
                Err(error) => self.joint.fail(&error),
            }
            self.driver = None;
        } else if self.joint.phase(Side::Writing) == Phase::Ending {
            self.joint.finish_writing();
        }
        // Whoever destroyed it has told why; a second `end` hears it again.
        self.joint.poll_outcome(Side::Writing, self.slot, context)
    }

    fn poll_joint(
        &mut self,
        context: &mut Context<'_>,
        poll: impl Fn(&Joint<T>, &mut Context<'_>) -> Poll<Result<(), Error>>,
    ) -> Poll<Result<(), Error>> {
        // Driven also when there is room: what was written shall be on its way.
        self.drive(context);
        let polled = poll(&self.joint, context);
        if polled.is_ready() || self.driver.is_none() {
            return polled;
        }
        // Again, for who took something before we listened.
        self.drive(context);
        poll(&self.joint, context)
    }

    pub(crate) fn put(&self, item: T) -> Result<(), Error> {
        match self.joint.put(item) {
            // Full can only be what another owner of the same end has filled: there is none.
            Ok(_) | Err(Refused::Full { .. }) => Ok(()),
            Err(Refused::Over { error, .. }) => Err(error),
        }
    }
}

/// A [`Writable`] that holds back what is written: see [`Writable::cork`].
pub struct Corked<'a, T: Send + 'static>(&'a mut Writable<T>);

impl<T: Send + 'static> Corked<'_, T> {
    /// Lets go what was written, by Node's name; the same as dropping it.
    pub fn uncork(self) {}
}

impl<T: Send + 'static> Deref for Corked<'_, T> {
    type Target = Writable<T>;

    fn deref(&self) -> &Writable<T> {
        self.0
    }
}

impl<T: Send + 'static> DerefMut for Corked<'_, T> {
    fn deref_mut(&mut self) -> &mut Writable<T> {
        self.0
    }
}

impl<T: Send + 'static> Drop for Corked<'_, T> {
    fn drop(&mut self) {
        self.0.joint.uncork();
    }
}

impl<T: Send + 'static> futures_sink::Sink<T> for Writable<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_writable(context)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Error> {
        self.put(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_flushed(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_end(context)
    }
}

impl<T: Send + 'static> AsyncSink for Writable<T> {
    type Item = T;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_writable(context).map_err(Cause::from)
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Cause> {
        Ok(self.put(item)?)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_flushed(context).map_err(Cause::from)
    }

    fn poll_finish(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_end(context).map_err(Cause::from)
    }

    fn abort(mut self: Pin<&mut Self>, error: &Error) {
        self.destroy(error.clone());
    }
}

impl<T: Send + 'static> IntoSink<T> for Writable<T> {
    fn into_sink(self) -> Sink<T> {
        Sink::polled("the stream", self)
    }
}

impl<T: Send + 'static> Ends for Writable<T> {
    fn finished(&self) -> Finished {
        Finished::of(&self.joint, Side::Writing, self.driver.as_slice())
    }
}

impl<T: Send + 'static> Drop for Writable<T> {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.forget(self.slot);
        }
        self.joint.forget(self.slot);
        self.joint.close(Side::Writing);
    }
}

impl<T: Send + 'static> fmt::Debug for Writable<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Writable");
        shown.field("phase", &self.phase()).field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}
