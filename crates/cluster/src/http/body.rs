//! The body of a response: the service's own, counted and timed, or a short one of ours.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::clock::RequestClock;
use super::service::Underway;
use crate::builder::AnyError;

pin_project! {
    /// A response's body; the request is over when it is dropped.
    pub(super) struct CountedBody<B> {
        #[pin]
        content: Content<B>,
        clock: RequestClock,
        underway: Option<Underway>,
    }
}

pin_project! {
    #[project = ContentProjection]
    enum Content<B> {
        Service { #[pin] body: B },
        Ours { bytes: Option<Bytes> },
    }
}

impl<B> CountedBody<B> {
    pub(super) fn of_service(body: B, clock: RequestClock, underway: Option<Underway>) -> CountedBody<B> {
        CountedBody { content: Content::Service { body }, clock, underway }
    }

    pub(super) fn ours(text: String, clock: RequestClock, underway: Option<Underway>) -> CountedBody<B> {
        CountedBody { content: Content::Ours { bytes: Some(text.into()) }, clock, underway }
    }
}

impl<B> Body for CountedBody<B>
where
    B: Body,
    B::Error: Into<AnyError>,
{
    type Data = Piece<B::Data>;
    type Error = AnyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, AnyError>>> {
        let this = self.project();
        let body = match this.content.project() {
            ContentProjection::Service { body } => body,
            ContentProjection::Ours { bytes } => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(Piece::Ours(bytes)))));
            }
        };
        match body.poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(underway) = this.underway {
                    underway.progress();
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(Piece::Service)).map_err(Into::into)))
            }
            Poll::Pending => match this.clock.poll_over(cx) {
                Poll::Ready(limit) => {
                    if let Some(underway) = this.underway {
                        underway.timed_out();
                    }
                    Poll::Ready(Some(Err(format!("the request took longer than {limit:?}").into())))
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Service { body } => body.is_end_stream(),
            Content::Ours { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Service { body } => body.size_hint(),
            Content::Ours { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// A piece of a body.
pub(super) enum Piece<D> {
    Service(D),
    Ours(Bytes),
}

impl<D: Buf> Buf for Piece<D> {
    fn remaining(&self) -> usize {
        match self {
            Piece::Service(data) => data.remaining(),
            Piece::Ours(bytes) => bytes.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Piece::Service(data) => data.chunk(),
            Piece::Ours(bytes) => bytes.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Piece::Service(data) => data.chunks_vectored(slices),
            Piece::Ours(bytes) => bytes.chunks_vectored(slices),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Piece::Service(data) => data.advance(count),
            Piece::Ours(bytes) => bytes.advance(count),
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        match self {
            Piece::Service(data) => data.copy_to_bytes(count),
            Piece::Ours(bytes) => bytes.copy_to_bytes(count),
        }
    }
}
