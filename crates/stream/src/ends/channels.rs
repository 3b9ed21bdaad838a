//! Channels of the standard library, of tokio, and of `phalanx-thread`, as sources and sinks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, ready};

use futures_util::stream;
use phalanx_thread::MessagePort;
use tokio::sync::mpsc as tokio_mpsc;

use crate::{AsyncSink, BlockingSource, Buffers, Cause, IntoSink, IntoSource, Sink, Source};

const CHANNEL: &str = "the channel";
const NOBODY_RECEIVES: &str = "nobody receives any more";

impl<T: Send + 'static> IntoSource for mpsc::Receiver<T> {
    type Item = T;

    fn into_source(self) -> Source<T> {
        Source::blocking(CHANNEL, Receiving(self))
    }
}

struct Receiving<T>(mpsc::Receiver<T>);

impl<T: Send + 'static> BlockingSource for Receiving<T> {
    type Item = T;

    fn read(&mut self, _: &Buffers) -> Result<Option<T>, Cause> {
        Ok(self.0.recv().ok())
    }
}

impl<T: Send + 'static> IntoSink<T> for mpsc::SyncSender<T> {
    fn into_sink(self) -> Sink<T> {
        Sink::sender(self)
    }
}

/// A bounded channel of tokio.
impl<T: Send + 'static> IntoSource for tokio_mpsc::Receiver<T> {
    type Item = T;

    fn into_source(mut self) -> Source<T> {
        Source::stream(
            CHANNEL,
            stream::poll_fn(move |context| self.poll_recv(context).map(|item| item.map(Ok::<T, Cause>))),
        )
    }
}

/// A bounded channel of tokio; a receiver that is gone is an error.
impl<T: Send + 'static> IntoSink<T> for tokio_mpsc::Sender<T> {
    fn into_sink(self) -> Sink<T> {
        Sink::polled(
            CHANNEL,
            Sending::new(move |item| {
                let sender = self.clone();
                async move { sender.send(item).await.is_ok() }
            }),
        )
    }
}

/// What the other port posts. The port is closed when the pipeline ends.
impl<Out: Send + 'static, In: Send + 'static> IntoSource for MessagePort<Out, In> {
    type Item = In;

    fn into_source(self) -> Source<In> {
        Source::stream(
            "the port",
            stream::unfold(self, async |port| {
                let message = port.recv().await?;
                Some((Ok::<In, Cause>(message), port))
            }),
        )
    }
}

/// Posts to the other port; a port that is closed is an error. It is closed at the end; what was posted is received.
impl<Out: Send + 'static, In: Send + 'static> IntoSink<Out> for MessagePort<Out, In> {
    fn into_sink(self) -> Sink<Out> {
        let port = Arc::new(self);
        Sink::polled(
            "the port",
            Sending::new(move |message| {
                let port = port.clone();
                async move { port.post(message).await.is_ok() }
            }),
        )
    }
}

type Sent = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Sends one after the other.
struct Sending<T> {
    send: Option<Box<dyn FnMut(T) -> Sent + Send>>,
    sent: Option<Sent>,
}

impl<T> Sending<T> {
    fn new<F: Future<Output = bool> + Send + 'static>(mut send: impl FnMut(T) -> F + Send + 'static) -> Sending<T> {
        Sending { send: Some(Box::new(move |item| Box::pin(send(item)))), sent: None }
    }
}

impl<T: Send + 'static> AsyncSink for Sending<T> {
    type Item = T;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let Some(sent) = &mut self.sent else { return Poll::Ready(Ok(())) };
        let is_sent = ready!(sent.as_mut().poll(context));
        self.sent = None;
        Poll::Ready(if is_sent { Ok(()) } else { Err(NOBODY_RECEIVES.into()) })
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), Cause> {
        self.sent = self.send.as_mut().map(|send| send(item));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.poll_ready(context)
    }

    fn poll_finish(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        ready!(self.as_mut().poll_ready(context))?;
        self.send = None;
        Poll::Ready(Ok(()))
    }
}
