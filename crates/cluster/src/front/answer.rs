//! Answers: JSON, text, or lines without an end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;

use super::outbox::Outbox;

/// The body of an answer.
pub(super) enum Content {
    /// All of it.
    Whole(Bytes),
    /// Lines as they come, for as long as the client stays.
    Lines(Outbox),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Content::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Lines(outbox) => outbox.poll_next(cx).map(|lines| Some(Ok(Frame::data(lines)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Content::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Lines(_) => SizeHint::default(),
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Content::Lines(outbox) = self {
            outbox.close();
        }
    }
}

/// An answer.
pub(super) type Answer = Response<Content>;

/// A value as JSON, with an end of line, for those who read it in a terminal.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}").into());
    text.push(b'\n');
    content(status, "application/json", Content::Whole(text.into()))
}

/// Why not.
pub(super) fn error(status: StatusCode, why: impl Into<String>) -> Answer {
    json(status, &serde_json::json!({ "error": why.into() }))
}

/// The path is known and the method is not.
pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, format!("here only {allowed} is understood"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Plain text.
pub(super) fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    content(status, kind, Content::Whole(text.into()))
}

/// Lines as they come.
pub(super) fn lines(kind: &'static str, outbox: Outbox) -> Answer {
    content(StatusCode::OK, kind, Content::Lines(outbox))
}

fn content(status: StatusCode, kind: &'static str, content: Content) -> Answer {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
