//! [`Intake`]: a request body as the source of a pipeline.
//!
//! Errors: [`Refused`] with 400 (the client is gone, or its chunked coding is broken), 408 (too slow), 413 (too large).

use super::failure::Refused;
use super::pace::Pace;
use super::underway::Tally;
use crate::body::announced_length;
use crate::config::Config;
use crate::config::quantity::ByteSize;
use crate::problem::{Code, Problem};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use http::HeaderMap;
use http_body_util::BodyExt;
use phalanx_stream::Chunk;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Smaller pieces are gathered up to this: a client that sends single bytes would otherwise fill the lanes with a hundred
/// times their memory, and larger ones are passed on as they are.
const GATHERED_BYTES: usize = 32 << 10;
/// A small piece waits no longer than this for more.
const GATHERED_WITHIN: Duration = Duration::from_millis(100);

/// What comes of a body, within its limits.
pub(crate) struct Intake {
    body: Body,
    most_bytes: u64,
    received: u64,
    pace: Pace,
    rule: (u64, Duration),
    gathered: BytesMut,
    is_over: bool,
    tally: Arc<Tally>,
}

/// What waiting for a part of the body came to.
enum Came {
    Piece(Bytes),
    End,
    /// Not within the time.
    Nothing,
}

impl Intake {
    /// Refuses at once a body that announces more than the limit; nothing of it has been read then.
    pub(super) fn new(headers: &HeaderMap, body: Body, config: &Config, tally: Arc<Tally>) -> Result<Intake, Problem> {
        let most_bytes = config.streaming.body_bytes;
        if let Some(length) = announced_length(headers).filter(|length| *length > most_bytes) {
            return Err(too_large(&format!("the body announces {}", ByteSize(length)), most_bytes));
        }
        let limits = config.body;
        Ok(Intake {
            body,
            most_bytes,
            received: 0,
            pace: Pace::new(limits.grace, limits.total, limits.bytes_per_second),
            rule: (limits.bytes_per_second, limits.total),
            gathered: BytesMut::new(),
            is_over: false,
            tally,
        })
    }

    /// The first bytes, before anything is taken: at least so many, or all that there are.
    pub(super) async fn first_bytes(&mut self, least: usize) -> Result<&[u8], Problem> {
        while self.gathered.len() < least && !self.is_over {
            match self.wait(None).await? {
                Came::Piece(bytes) => self.gathered.extend_from_slice(&bytes),
                Came::End => self.is_over = true,
                Came::Nothing => {}
            }
        }
        Ok(&self.gathered)
    }

    /// As the source of a pipeline.
    pub(super) fn into_pieces(self) -> impl Stream<Item = Result<Chunk, Refused>> + Send + 'static {
        try_unfold(self, async |mut intake| match intake.next().await {
            Ok(piece) => Ok(piece.map(|piece| (Chunk::from(piece), intake))),
            Err(problem) => Err(Refused(problem)),
        })
    }

    /// The next piece, or `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let mut until = (!self.gathered.is_empty()).then(|| Instant::now() + GATHERED_WITHIN);
        while !self.is_over && self.gathered.len() < GATHERED_BYTES {
            match self.wait(until).await? {
                Came::Piece(bytes) if self.gathered.is_empty() && bytes.len() >= GATHERED_BYTES => {
                    return Ok(Some(bytes));
                }
                Came::Piece(bytes) => {
                    if self.gathered.is_empty() {
                        self.gathered.reserve(GATHERED_BYTES);
                        until = Some(Instant::now() + GATHERED_WITHIN);
                    }
                    self.gathered.extend_from_slice(&bytes);
                }
                Came::End => self.is_over = true,
                Came::Nothing => break,
            }
        }
        let gathered = self.gathered.split().freeze();
        Ok(Some(gathered).filter(|gathered| !gathered.is_empty()))
    }

    /// Waits for a part of the body, until then or until the client is too slow.
    async fn wait(&mut self, until: Option<Instant>) -> Result<Came, Problem> {
        loop {
            let began = Instant::now();
            let too_slow_at = began + self.pace.left();
            let until = until.unwrap_or(too_slow_at).min(too_slow_at);
            let frame = timeout_at(until, self.body.frame()).await;
            self.pace.waited(began.elapsed());
            let data = match frame {
                Err(_) if until < too_slow_at => return Ok(Came::Nothing),
                Err(_) => return Err(self.too_slow()),
                Ok(None) => return Ok(Came::End),
                // The client is gone, or its chunked coding is broken: hyper tells which, the client rarely hears it.
                Ok(Some(Err(error))) => {
                    return Err(Problem::new(
                        Code::BadRequest,
                        format!("the body could not be read to its end: {error}"),
                    ));
                }
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => data,
                    _nothing_or_trailers => continue,
                },
            };
            self.received += data.len() as u64;
            if self.received > self.most_bytes {
                let size = format!("the body has more than {}", ByteSize(self.most_bytes));
                return Err(too_large(&size, self.most_bytes));
            }
            self.pace.came(data.len());
            self.tally.took(data.len());
            return Ok(Came::Piece(data));
        }
    }

    fn too_slow(&self) -> Problem {
        let (bytes_per_second, silence) = self.rule;
        Problem::new(
            Code::SlowBody,
            format!(
                "{} bytes came, and then too little for too long; a body must come at {bytes_per_second} bytes a second or faster, and is never silent for more than {silence:?}",
                self.received
            ),
        )
        .limit(bytes_per_second, "bytes per second")
    }
}

fn too_large(size: &str, limit: u64) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("{size}; at most {} are taken", ByteSize(limit))).limit(limit, "bytes")
}
