//! [`Forward`] and [`Feed`]: an async end moves what it has without a pipeline, on the task that polls the stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::{AsyncSink, Cause, Error, Readable, Writable};

/// Out of a [`Writable`] into a sink.
pub(crate) struct Forward<T: Send + 'static> {
    pub(crate) what: String,
    pub(crate) from: Readable<T>,
    pub(crate) to: Pin<Box<dyn AsyncSink<Item = T>>>,
    pub(crate) is_over: bool,
}

impl<T: Send + 'static> Forward<T> {
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let failed = |cause: Cause| Error::sink(&*self.what, cause);
        loop {
            ready!(self.to.as_mut().poll_ready(context)).map_err(failed)?;
            match self.from.poll_item(context) {
                Poll::Ready(Some(item)) => self.to.as_mut().start_send(item?).map_err(failed)?,
                Poll::Ready(None) => return self.to.as_mut().poll_finish(context).map_err(failed),
                Poll::Pending => {
                    ready!(self.to.as_mut().poll_flush(context)).map_err(failed)?;
                    if self.from.joint.flushed() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl<T: Send + 'static> Future for Forward<T> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let outcome = ready!(self.step(context));
        self.is_over = true;
        if let Err(error) = &outcome {
            self.to.as_mut().abort(error);
        }
        Poll::Ready(outcome)
    }
}

impl<T: Send + 'static> Drop for Forward<T> {
    fn drop(&mut self) {
        if !self.is_over {
            self.to.as_mut().abort(&Error::Aborted { reason: "the stream was dropped".to_owned() });
        }
    }
}

/// Out of a source into a [`Readable`], whose writing end it has.
pub(crate) struct Feed<T: Send + 'static> {
    pub(crate) what: String,
    pub(crate) from: Pin<Box<dyn Stream<Item = Result<T, Cause>> + Send>>,
    pub(crate) to: Writable<T>,
}

impl<T: Send + 'static> Future for Feed<T> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.to.poll_writable(context))?;
            match ready!(self.from.as_mut().poll_next(context)) {
                Some(item) => {
                    let item = item.map_err(|cause| Error::source(&*self.what, cause))?;
                    self.to.put(item)?;
                }
                None => return self.to.poll_end(context),
            }
        }
    }
}
