//! Errors as clients see them: `application/problem+json` (RFC 9457), each with a stable code and the next step.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Every way in which a request can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// 400: the request as a whole makes no sense.
    BadRequest,
    /// 400: a parameter is unknown, repeated, contradictory or out of range.
    BadParameter,
    /// 403: this server does not list its jobs.
    NotListed,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406: nothing that we can make is in `Accept`.
    NotAcceptable,
    /// 409: the first request of this idempotency key is still under way.
    KeyInProgress,
    /// 409: in the state in which the job is, that cannot be done.
    WrongState,
    /// 410: the job has no result (any more): it was cancelled, or its time is over.
    NoResult,
    /// 408: the body came too slowly.
    SlowBody,
    /// 413: more bytes than allowed.
    BodyTooLarge,
    /// 413: more pixels, or more memory to decode them, than allowed.
    PictureTooLarge,
    /// 415: the first bytes are of no picture format that we read.
    UnsupportedPicture,
    /// 415: the first bytes are of no format that we inflate.
    UnknownFormat,
    /// 413: it becomes larger than allowed.
    InflatesTooFar,
    /// 422: it is not whole, damaged, or was tampered with.
    Undecodable,
    /// 422: no key that was given opens it.
    WrongKey,
    /// 422: it begins like a picture and cannot be decoded.
    UnreadablePicture,
    /// 422: a process died of decoding it.
    CrashedDecoder,
    /// 422: this idempotency key was used with another request.
    KeyReused,
    /// 500
    Internal,
    /// 501: this server has no queue.
    NoQueue,
    /// 501: the broker of the queue cannot do that.
    QueueCannot,
    /// 503: the server is full.
    Overloaded,
    /// 503: the queue holds as many jobs as it may.
    QueueFull,
    /// 503: the queue cannot be reached.
    QueueUnavailable,
    /// 503: this worker is about to stop.
    Draining,
    /// 504: the work took longer than its deadline and was stopped.
    DeadlinePassed,
    /// 505: the answer would end without saying so.
    OldHttp,
    /// 507: no room for a stored result.
    StoreFull,
}

/// A failed request: what failed, on what, why, and what to do next.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Code {
    /// Status, stable name, title, and whether the same request may succeed later.
    fn row(self) -> (StatusCode, &'static str, &'static str, bool) {
        match self {
            Code::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request makes no sense", false),
            Code::BadParameter => (StatusCode::BAD_REQUEST, "bad-parameter", "A parameter is wrong", false),
            Code::NotListed => (StatusCode::FORBIDDEN, "not-listed", "This server does not list its jobs", false),
            Code::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here", false),
            Code::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method does not fit the path", false)
            }
            Code::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, "not-acceptable", "No acceptable format can be made", false)
            }
            Code::KeyInProgress => (
                StatusCode::CONFLICT,
                "idempotency-key-in-progress",
                "The first request of this key is still under way",
                true,
            ),
            Code::WrongState => (StatusCode::CONFLICT, "wrong-state", "The job is in another state", false),
            Code::NoResult => (StatusCode::GONE, "no-result", "The job has no result (any more)", false),
            Code::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body came too slowly", true),
            Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large", false),
            Code::PictureTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "picture-too-large", "The picture is too large", false)
            }
            Code::UnsupportedPicture => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-picture",
                "The content is no picture of a known format",
                false,
            ),
            Code::UnknownFormat => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown-format", "The content is of no known format", false)
            }
            Code::InflatesTooFar => {
                (StatusCode::PAYLOAD_TOO_LARGE, "inflates-too-far", "The content becomes too large", false)
            }
            Code::Undecodable => {
                (StatusCode::UNPROCESSABLE_ENTITY, "undecodable", "The content cannot be decoded", false)
            }
            Code::WrongKey => {
                (StatusCode::UNPROCESSABLE_ENTITY, "wrong-key", "No key that was given opens the content", false)
            }
            Code::UnreadablePicture => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unreadable-picture", "The picture cannot be decoded", false)
            }
            Code::CrashedDecoder => {
                (StatusCode::UNPROCESSABLE_ENTITY, "picture-crashed-decoder", "The picture crashed its decoder", false)
            }
            Code::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The key was used with another request",
                false,
            ),
            Code::NoQueue => (StatusCode::NOT_IMPLEMENTED, "no-queue", "This server has no queue", false),
            Code::QueueCannot => {
                (StatusCode::NOT_IMPLEMENTED, "queue-cannot", "The broker of the queue cannot do that", false)
            }
            Code::QueueFull => (StatusCode::SERVICE_UNAVAILABLE, "queue-full", "The queue is full", true),
            Code::QueueUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "queue-unavailable", "The queue cannot be reached", true)
            }
            Code::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed", true),
            Code::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server is full", true),
            Code::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining", "This worker is about to stop", true),
            Code::DeadlinePassed => {
                (StatusCode::GATEWAY_TIMEOUT, "deadline-passed", "The work took too long and was stopped", true)
            }
            Code::OldHttp => {
                (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "old-http", "The version of HTTP is too old for this", false)
            }
            Code::StoreFull => (StatusCode::INSUFFICIENT_STORAGE, "store-full", "The store has no room", true),
        }
    }

    #[cfg(test)]
    pub(crate) fn status(self) -> StatusCode {
        self.row().0
    }
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Problem { code, detail: detail.into(), members: Map::new(), retry_after: None }
    }

    /// A wrong parameter, by name.
    pub(crate) fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(Code::BadParameter, detail);
        problem.members.insert("parameter".into(), name.into());
        problem
    }

    /// A parameter that does not exist, and those that do.
    pub(crate) fn unknown_parameter(name: &str, names: &str) -> Self {
        let shown: String = name.chars().take(40).collect();
        Self::parameter(&shown, format!("the parameter {shown:?} is unknown; the names are {names}"))
    }

    /// Tells the limit that was passed, so that a client can act on it.
    pub(crate) fn limit(mut self, limit: u64, unit: &str) -> Self {
        self.members.insert("limit".into(), limit.into());
        self.members.insert("unit".into(), unit.into());
        self
    }

    /// Tells when to try again; whole seconds, at least one.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The sentence for people, in the answer and in the log.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The whole answer, with the id of the request that failed.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let (status, code, title, retryable) = self.code.row();
        let mut body = json!({
            "type": format!("urn:phalanx:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "error": self.detail,
            "instance": format!("urn:phalanx:request:{request_id}"),
            "code": code,
            "retryable": retryable,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.members.clone());
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil().max(1.0) as u64));
        }
        response
    }
}

/// Longest sentence about a picture, in characters: its words may come from a decoder that was taken over.
const LONGEST_WORDS: usize = 500;

fn clipped(words: &str) -> String {
    words.chars().take(LONGEST_WORDS).collect()
}

/// Each failure of the image crate has its status.
impl From<phalanx::image::Error> for Problem {
    fn from(error: phalanx::image::Error) -> Self {
        use phalanx::image::Error;
        let detail = clipped(&error.to_string());
        match error {
            Error::UnknownFormat | Error::Unsupported { .. } => Problem::new(Code::UnsupportedPicture, detail),
            Error::TooLarge { what, limit, .. } => {
                Problem::new(Code::PictureTooLarge, detail).limit(limit, &clipped(&what))
            }
            Error::Damaged { .. } => Problem::new(Code::UnreadablePicture, detail),
            Error::InvalidTransform { .. } => Problem::new(Code::BadParameter, detail),
            Error::Cancelled => Problem::new(Code::DeadlinePassed, detail),
            _ => Problem::new(Code::Internal, detail),
        }
    }
}

/// The outermost layer (`request.rs`) writes the body, because only it knows the id of the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.row().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: &Problem) -> Value {
        let response = problem.render("r1");
        let bytes = futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(response.into_body()))
            .unwrap()
            .unwrap()
            .to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn an_error_has_all_members_of_rfc_9457_and_its_limit() {
        let problem = Problem::new(Code::BodyTooLarge, "26 MiB is too much").limit(25 << 20, "bytes");
        let body = body(&problem);
        assert_eq!(body["type"], "urn:phalanx:problem:body-too-large");
        assert_eq!(body["status"], 413);
        assert_eq!(body["detail"], body["error"]);
        assert_eq!(body["instance"], "urn:phalanx:request:r1");
        assert_eq!((&body["retryable"], &body["limit"]), (&json!(false), &json!(26_214_400)));
        assert!(body["title"].is_string());
    }

    #[test]
    fn what_a_decoder_says_is_clipped() {
        let long = "x".repeat(1 << 20);
        let damaged = phalanx::image::Error::Damaged { what: long.clone() };
        let large = phalanx::image::Error::TooLarge { what: long.into(), value: 2, limit: 1 };
        for error in [damaged, large] {
            let text = body(&error.into()).to_string();
            assert!(text.len() < 3000, "{}", text.len());
        }
    }

    #[test]
    fn errors_are_never_cached_and_name_their_type() {
        let response = Problem::new(Code::NotFound, "no").render("r1");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert!(!response.headers().contains_key(http::header::CACHE_CONTROL));
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, header) in [(0, "1"), (400, "1"), (1400, "2")] {
            let response = Problem::new(Code::Overloaded, "full").retry_after(Duration::from_millis(wait)).render("r1");
            assert_eq!(response.headers()[RETRY_AFTER], header);
        }
    }
}
