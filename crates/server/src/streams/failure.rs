//! What it means to a client that a pipeline failed.

use crate::problem::{Code, Problem};
use phalanx_stream::{DecodeError, Error};
use std::fmt;

/// A problem with the request, as the cause of a pipeline's error.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Problem);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.detail())
    }
}

impl std::error::Error for Refused {}

/// The sentence for the log.
pub(super) fn reason(error: &Error) -> String {
    match error.cause_as::<Refused>() {
        Some(Refused(problem)) => problem.detail().to_owned(),
        None => error.to_string(),
    }
}

/// What the client is told if its answer has not begun.
pub(super) fn problem(error: &Error) -> Problem {
    if let Some(Refused(problem)) = error.cause_as() {
        return problem.clone();
    }
    if let Some(undecodable) = error.cause_as::<DecodeError>() {
        return of_decoder(undecodable);
    }
    match error {
        Error::NoThread { .. } => {
            Problem::new(Code::Overloaded, "the server has no thread for the work; try again later")
        }
        _ => {
            tracing::error!("{error}");
            Problem::new(Code::Internal, "the server made a mistake at work on this request; it is logged")
        }
    }
}

fn of_decoder(error: &DecodeError) -> Problem {
    let detail = format!("the body cannot be decoded: {error}");
    match error {
        DecodeError::TooLarge { limit } => {
            Problem::new(Code::InflatesTooFar, format!("the body {error}")).limit(*limit, "bytes")
        }
        DecodeError::RatioTooHigh { limit } => {
            Problem::new(Code::InflatesTooFar, format!("the body {error}")).limit((*limit).into(), "times its size")
        }
        DecodeError::WrongKey { .. } => Problem::new(Code::WrongKey, detail),
        _ => Problem::new(Code::Undecodable, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn transform(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Transform { name: "gunzip".into(), cause: Arc::new(cause) }
    }

    #[test]
    fn each_failure_has_its_status() {
        let slow = Problem::new(Code::SlowBody, "too slow");
        for (error, code) in [
            (Error::Source { what: "the body".into(), cause: Arc::new(Refused(slow)) }, Code::SlowBody),
            (transform(DecodeError::Truncated { format: "gzip", offset: 7 }), Code::Undecodable),
            (transform(DecodeError::Checksum { format: "gzip", offset: 7 }), Code::Undecodable),
            (transform(DecodeError::malformed("zstd", 0, "no magic number")), Code::Undecodable),
            (transform(DecodeError::Tampered { format: "age", chunk: 3 }), Code::Undecodable),
            (transform(DecodeError::WrongKey { format: "age" }), Code::WrongKey),
            (transform(DecodeError::TooLarge { limit: 3 }), Code::InflatesTooFar),
            (transform(DecodeError::RatioTooHigh { limit: 3 }), Code::InflatesTooFar),
            (transform(std::io::Error::other("?")), Code::Internal),
            (Error::NoThread { why: "none".into() }, Code::Overloaded),
            (Error::Panicked { part: "gunzip".into(), message: "!".into() }, Code::Internal),
        ] {
            assert_eq!(problem(&error).code(), code, "{error}");
        }
    }
}
