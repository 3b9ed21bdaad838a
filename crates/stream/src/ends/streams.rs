//! A [`futures` sink](futures_sink::Sink) as a sink. A `futures` stream is one by [`Source::stream`].

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{AsyncSink, Cause, Sink};

impl<T: Send + 'static> Sink<T> {
    /// Any sink of `futures`, with its name for errors. It is closed at the end.
    #[expect(clippy::self_named_constructors, reason = "beside `Source::stream`: its counterpart")]
    pub fn sink<S>(what: impl Into<String>, sink: S) -> Sink<T>
    where
        S: futures_sink::Sink<T, Error: Into<Cause>> + Send + 'static,
    {
        Sink::polled(what, Foreign(Box::pin(sink), std::marker::PhantomData))
    }
}

struct Foreign<T, S>(Pin<Box<S>>, std::marker::PhantomData<fn(T)>);

impl<T, S> AsyncSink for Foreign<T, S>
where
    T: Send + 'static,
    S: futures_sink::Sink<T, Error: Into<Cause>> + Send + 'static,
{
    type Item = T;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.as_mut().poll_ready(context).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Cause> {
        self.0.as_mut().start_send(item).map_err(Into::into)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.as_mut().poll_flush(context).map_err(Into::into)
    }

    fn poll_finish(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.0.as_mut().poll_close(context).map_err(Into::into)
    }
}
