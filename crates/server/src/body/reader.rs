//! A request body with its limits: bytes, total time, and a minimum rate.
//!
//! The rate is an average since the request began: after `t` seconds beyond the grace, `t` times the rate must have come.
//! So the moment at which a silent client fails is known in advance, and one timer is enough.

use crate::config::BodyLimits;
use crate::config::quantity::ByteSize;
use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Reads a body piece by piece.
pub(crate) struct BodyReader {
    body: Body,
    limits: BodyLimits,
    begun: Instant,
    received: u64,
}

/// The announced length of the body, if there is one. (hyper refuses a malformed or contradictory one by itself.)
pub(crate) fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl BodyReader {
    /// Refuses at once a body that announces more than the limit; nothing of it has been read then.
    pub(crate) fn new(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<Self, Problem> {
        match announced_length(headers) {
            Some(length) if length > limits.bytes => Err(too_large(Some(length), limits.bytes)),
            _ => Ok(BodyReader { body, limits, begun: Instant::now(), received: 0 }),
        }
    }

    /// The next piece, or `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = timeout_at(self.fails_at(), self.body.frame()).await.map_err(|_| self.too_slow())?;
            let data = match frame {
                None => return Ok(None),
                // The client is gone, or its chunked coding is broken: hyper tells which, the client rarely hears it.
                Some(Err(error)) => {
                    return Err(Problem::new(
                        Code::BadRequest,
                        format!("the body could not be read to its end: {error}"),
                    ));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
            };
            self.received += data.len() as u64;
            if self.received > self.limits.bytes {
                return Err(too_large(None, self.limits.bytes));
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// All of a small body.
    pub(crate) async fn whole(mut self) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// When a client that sends nothing more has failed.
    fn fails_at(&self) -> Instant {
        let earned = Duration::from_secs_f64(self.received as f64 / self.limits.bytes_per_second as f64);
        self.begun + (self.limits.grace + earned).min(self.limits.total)
    }

    fn too_slow(&self) -> Problem {
        let BodyLimits { total, grace, bytes_per_second, .. } = self.limits;
        let rule = match self.begun.elapsed() >= total {
            true => format!("a body must be complete within {total:?}"),
            false => format!("after {grace:?} a body must come at {bytes_per_second} bytes a second or faster"),
        };
        Problem::new(Code::SlowBody, format!("{} bytes came in {:.1?}; {rule}", self.received, self.begun.elapsed()))
            .limit(bytes_per_second, "bytes per second")
    }
}

fn too_large(announced: Option<u64>, limit: u64) -> Problem {
    let size = match announced {
        Some(length) => format!("the body announces {}", ByteSize(length)),
        None => format!("the body has more than {}", ByteSize(limit)),
    };
    Problem::new(Code::BodyTooLarge, format!("{size}; at most {} are taken", ByteSize(limit))).limit(limit, "bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const LIMITS: BodyLimits = BodyLimits {
        bytes: 1000,
        total: Duration::from_secs(60),
        grace: Duration::from_secs(5),
        bytes_per_second: 100,
    };

    #[test]
    fn a_body_that_announces_too_much_is_refused_unread() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("1001"));
        let problem = BodyReader::new(&headers, Body::empty(), LIMITS).err().unwrap();
        assert_eq!(problem.code(), Code::BodyTooLarge);
        assert!(problem.detail().contains("1000 bytes"), "{}", problem.detail());
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_body_that_announces_nothing_is_refused_at_the_limit() {
        let reader = BodyReader::new(&HeaderMap::new(), Body::from(vec![0; 1001]), LIMITS).unwrap();
        assert_eq!(now(reader.whole()).unwrap_err().code(), Code::BodyTooLarge);
        let reader = BodyReader::new(&HeaderMap::new(), Body::from(vec![0; 1000]), LIMITS).unwrap();
        assert_eq!(now(reader.whole()).unwrap().len(), 1000);
    }

    #[test]
    fn bytes_that_came_earn_time_up_to_the_total() {
        now(async {
            let mut reader = BodyReader::new(&HeaderMap::new(), Body::empty(), LIMITS).unwrap();
            let seconds = |reader: &BodyReader| (reader.fails_at() - reader.begun).as_secs();
            assert_eq!(seconds(&reader), 5);
            reader.received = 400;
            assert_eq!(seconds(&reader), 9);
            reader.received = 1_000_000;
            assert_eq!(seconds(&reader), 60);
        });
    }
}
