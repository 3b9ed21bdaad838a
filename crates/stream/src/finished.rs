//! [`finished`]: how a stream ends, told to whoever asks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use crate::Error;
use crate::driver::{Driver, new_slot};
use crate::joint::{Joint, Side};

/// What has an end that can be waited for: [`Readable`](crate::Readable), [`Writable`](crate::Writable),
/// [`Duplex`](crate::Duplex).
pub trait Ends {
    /// A future of its own, which does not borrow it; see [`finished`].
    fn finished(&self) -> Finished;
}

/// Ready when the stream has ended: read to its end, or written with all of it arrived. A [`Duplex`](crate::Duplex) has
/// ended when both of its sides have.
///
/// It borrows nothing, so it can be asked for before the stream is handed on, and also when all is over.
///
/// Errors: the stream's one error; [`Error::PrematureClose`] if it was dropped before its end.
///
/// ```
/// use phalanx_stream::{finished, pass_through};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut writable, mut readable) = pass_through::<u32>(16).split();
/// let end = finished(&readable);
/// writable.write(1).await?;
/// writable.end().await?;
/// while let Some(item) = readable.next().await {
///     println!("{}", item?);
/// }
/// end.await?;
/// # Ok::<(), phalanx_stream::Error>(()) }).unwrap();
/// ```
pub fn finished(stream: &impl Ends) -> Finished {
    stream.finished()
}

/// The end of a stream, as a future: see [`finished`].
#[must_use = "a future does nothing before it is awaited"]
pub struct Finished {
    sides: Vec<Box<dyn Watched>>,
    slot: u64,
}

impl Finished {
    pub(crate) fn of<T: Send + 'static>(joint: &Arc<Joint<T>>, side: Side, drivers: &[Arc<Driver>]) -> Finished {
        let watched = Watching { joint: joint.clone(), side, drivers: drivers.iter().map(Arc::downgrade).collect() };
        Finished { sides: vec![Box::new(watched)], slot: new_slot() }
    }

    pub(crate) fn and(mut self, mut other: Finished) -> Finished {
        self.sides.append(&mut other.sides);
        self
    }
}

impl Future for Finished {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let slot = self.slot;
        let mut is_over = true;
        for side in &self.sides {
            match side.poll_outcome(slot, context) {
                Poll::Pending => is_over = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
        if is_over { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        self.sides.iter().for_each(|side| side.forget(self.slot));
    }
}

trait Watched: Send + Sync {
    fn poll_outcome(&self, slot: u64, context: &mut Context<'_>) -> Poll<Result<(), Error>>;
    fn forget(&self, slot: u64);
}

struct Watching<T> {
    joint: Arc<Joint<T>>,
    side: Side,
    /// Who only waits for the end does not keep the stream alive.
    drivers: Vec<Weak<Driver>>,
}

impl<T: Send + 'static> Watched for Watching<T> {
    fn poll_outcome(&self, slot: u64, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Before driving, so that what driving brings about is not missed.
        if let Poll::Ready(outcome) = self.joint.poll_outcome(self.side, slot, context) {
            return Poll::Ready(outcome);
        }
        for driver in self.drivers.iter().filter_map(Weak::upgrade) {
            if let Poll::Ready(Err(error)) = driver.poll(slot, context) {
                self.joint.fail(&error);
            }
        }
        self.joint.poll_outcome(self.side, slot, context)
    }

    fn forget(&self, slot: u64) {
        self.joint.forget(slot);
        self.drivers.iter().filter_map(Weak::upgrade).for_each(|driver| driver.forget(slot));
    }
}
