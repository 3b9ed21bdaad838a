//! What it means to a client that the queue did not do what it was asked.

use crate::problem::{Code, Problem};
use phalanx_queue::Error;
use std::time::Duration;

/// When nothing says when to come back.
const USUAL_RETRY: Duration = Duration::from_secs(1);

/// Each failure of the queue has its status.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let detail = error.to_string();
        match error {
            Error::Full { limit, retry_after, .. } => Problem::new(Code::QueueFull, detail)
                .limit(limit, "jobs")
                .retry_after(retry_after.unwrap_or(USUAL_RETRY)),
            Error::TooBig { limit, .. } => Problem::new(
                Code::BodyTooLarge,
                format!("the job is too large for the queue: {detail}; a blob store (--queue-blobs) would take it"),
            )
            .limit(limit, "bytes"),
            Error::NoSuchJob { .. } => Problem::new(Code::NotFound, detail),
            Error::WrongState { .. } => Problem::new(Code::WrongState, detail),
            Error::Unsupported { .. } => Problem::new(Code::QueueCannot, detail),
            Error::BadName { .. } => Problem::parameter("queue", detail),
            Error::Unavailable { .. } | Error::Closed => {
                tracing::warn!("{detail}");
                Problem::new(Code::QueueUnavailable, "the queue cannot be reached at the moment; try again")
                    .retry_after(USUAL_RETRY)
            }
            Error::Store { .. } => {
                // Where the store is, and what is wrong with it, is for whoever runs the server.
                tracing::error!("{detail}");
                Problem::new(Code::StoreFull, "the queue cannot store any more jobs at the moment; it is logged")
            }
            _ => {
                tracing::error!("{detail}");
                Problem::new(Code::Internal, "the queue did not do what it was asked; it is logged")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_queue::Capability;

    #[test]
    fn each_failure_of_the_queue_has_its_status() {
        let (queue, broker, reason) = ("default".to_owned(), "embedded".to_owned(), "secret reason".to_owned());
        let job = "j".to_owned();
        for (error, code, status) in [
            (Error::Full { queue, waiting: 2, limit: 2, retry_after: None }, Code::QueueFull, 503),
            (Error::TooBig { bytes: 2, limit: 1 }, Code::BodyTooLarge, 413),
            (Error::NoSuchJob { job: job.clone() }, Code::NotFound, 404),
            (Error::WrongState { job, reason: reason.clone() }, Code::WrongState, 409),
            (Error::Unsupported { capability: Capability::Status, broker: broker.clone() }, Code::QueueCannot, 501),
            (Error::Unavailable { broker, reason: reason.clone() }, Code::QueueUnavailable, 503),
            (Error::Closed, Code::QueueUnavailable, 503),
            (Error::Store { path: "/secret".into(), reason }, Code::StoreFull, 507),
            (Error::Stale, Code::Internal, 500),
        ] {
            let problem = Problem::from(error.clone());
            assert_eq!((problem.code(), problem.code().status().as_u16()), (code, status), "{error}");
            assert!(!problem.detail().contains("/secret"), "{}", problem.detail());
        }
    }
}
