//! [`RequestStream`]: a request whose body is transformed while it comes.

use super::answer::{Chunks, StreamBody};
use super::failure::problem;
use super::intake::Intake;
use super::underway::{Operation, Underway};
use crate::app::App;
use crate::memory::Reserved;
use crate::problem::{Code, Problem};
use crate::request::Arrived;
use crate::work::{Admission, Cost};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Version};
use phalanx_stream::{Chunk, Error, Pipe, Source, pipeline};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What every pipeline holds at most: its lanes (a mebibyte each), a few chunks, and the buffers of its connection.
const PIPELINE_BYTES: u64 = 8 << 20;
/// Threads that work on one request at most: other requests shall have theirs.
const MOST_HANDS: u32 = 4;
/// So much of an answer is held back until more comes: what is wrong with a small body is said before its answer begins.
const HELD_BACK_BYTES: usize = 64 << 10;
/// And no longer than this.
const HELD_BACK_FOR: Duration = Duration::from_millis(50);
/// Memory is free again when other requests end.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A request with a place in line, memory and a body within its limits.
pub(crate) struct RequestStream {
    app: App,
    underway: Underway,
    intake: Intake,
    memory: Reserved,
    admission: Admission,
}

impl RequestStream {
    /// Refuses before anything is read what is too large, or comes when there is too much to do: `bytes` is the memory that
    /// its pipeline needs besides what every one does.
    pub(crate) fn begin(
        app: &App,
        operation: Operation,
        bytes: u64,
        arrived: Arrived,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<RequestStream, Problem> {
        let underway = Underway::begin(operation, arrived.id, &app.worker);
        let begun = whole_or_seen_to_be_cut(operation, arrived.version)
            .and_then(|()| Intake::new(headers, body, &app.config, underway.tally().clone()))
            .and_then(|intake| {
                let admission = app.work.admit(Cost::of_stream())?;
                Ok((intake, admission, memory(app, PIPELINE_BYTES + bytes)?))
            });
        match begun {
            Ok((intake, admission, memory)) => {
                Ok(RequestStream { app: app.clone(), underway, intake, memory, admission })
            }
            Err(problem) => {
                underway.refused();
                Err(problem)
            }
        }
    }

    /// The first bytes of the body: at least so many, or all that there are.
    pub(crate) async fn first_bytes(&mut self, least: usize) -> Result<&[u8], Problem> {
        self.intake.first_bytes(least).await
    }

    /// Ends it with this problem, before the answer has begun.
    pub(crate) fn refused(self, problem: Problem) -> Problem {
        self.underway.refused();
        problem
    }

    /// Answers with what the body becomes in these stages.
    pub(crate) async fn answer(
        self,
        stages: impl FnOnce(Pipe<Chunk>) -> Pipe<Chunk>,
        headers: impl IntoResponse,
    ) -> Result<Response, Problem> {
        let (app, intake) = (self.app, self.intake);
        let mut rest = chunks(&app, intake, stages);
        drop(self.admission);
        let mut first = VecDeque::new();
        let is_over = match hold_back(&mut rest, &mut first).await {
            Ok(is_over) => is_over,
            Err(error) => {
                self.underway.refused();
                return Err(problem(&error));
            }
        };
        let mut response = headers.into_response();
        *response.body_mut() = match is_over {
            true => {
                let whole = whole(first);
                self.underway.tally().gave(whole.len());
                self.underway.done();
                Body::from(whole)
            }
            false => Body::new(StreamBody::new(first, rest, self.underway, self.memory)),
        };
        Ok(response)
    }

    /// Lets the body go through these stages, for what they find out. Gives its length.
    pub(crate) async fn pass_through(self, stages: impl FnOnce(Pipe<Chunk>) -> Pipe<Chunk>) -> Result<u64, Problem> {
        let mut rest = chunks(&self.app, self.intake, stages);
        drop(self.admission);
        while let Some(chunk) = rest.next().await {
            if let Err(error) = chunk {
                self.underway.refused();
                return Err(problem(&error));
            }
        }
        let bytes = self.underway.tally().taken();
        self.underway.done();
        Ok(bytes)
    }
}

/// In HTTP/1.0 an answer of unknown length ends with its connection: nobody would see that it was cut. (nginx asks in HTTP/1.0 if
/// it is not told otherwise.)
fn whole_or_seen_to_be_cut(operation: Operation, version: Version) -> Result<(), Problem> {
    if operation == Operation::Hash || version >= Version::HTTP_11 {
        return Ok(());
    }
    Err(Problem::new(
        Code::OldHttp,
        "an answer of unknown length needs HTTP/1.1, in which it is seen whether it is whole; behind nginx set proxy_http_version 1.1",
    ))
}

/// How many threads work on one request at most.
pub(crate) fn hands(app: &App) -> u64 {
    app.config.threads.clamp(1, MOST_HANDS).into()
}

fn chunks(app: &App, intake: Intake, stages: impl FnOnce(Pipe<Chunk>) -> Pipe<Chunk>) -> Chunks {
    let begin = pipeline(Source::stream("the request body", intake.into_pieces()))
        .pool(app.work.threads())
        .threads(hands(app) as usize);
    Box::pin(stages(begin).into_readable())
}

/// Takes the first chunks; whether those are all.
async fn hold_back(rest: &mut Chunks, first: &mut VecDeque<Bytes>) -> Result<bool, Error> {
    let (mut held, mut until) = (0, None);
    while held <= HELD_BACK_BYTES {
        let next = match until {
            None => rest.next().await,
            Some(until) => match timeout_at(until, rest.next()).await {
                Ok(next) => next,
                Err(_) => return Ok(false),
            },
        };
        let Some(chunk) = next else { return Ok(true) };
        let bytes = chunk?.into_bytes();
        held += bytes.len();
        first.push_back(bytes);
        until.get_or_insert_with(|| Instant::now() + HELD_BACK_FOR);
    }
    Ok(false)
}

/// A small answer in one piece.
fn whole(mut pieces: VecDeque<Bytes>) -> Bytes {
    match pieces.len() {
        0 | 1 => pieces.pop_front().unwrap_or_default(),
        _ => pieces.iter().flat_map(|piece| piece.iter().copied()).collect(),
    }
}

/// Takes the memory of a pipeline out of the budget.
fn memory(app: &App, bytes: u64) -> Result<Reserved, Problem> {
    app.budget.try_reserve(bytes).map_err(|exhausted| {
        let detail = match exhausted.never_fits() {
            true => format!("this needs {bytes} bytes of memory, and --memory is {}", exhausted.limit),
            false => "the memory for requests is taken by others; try again when they have ended".to_owned(),
        };
        Problem::new(Code::Overloaded, detail).retry_after(RETRY_AFTER)
    })
}
