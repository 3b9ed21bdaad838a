//! Streams from request to answer: what comes is transformed while it comes, and nothing is held of it.
//!
//! ```text
//!   body ──► Intake ──► lane ──► gzip, gunzip, zstd, unzstd, encrypt, decrypt, hash ──► lane ──► StreamBody ──► client
//!            its limits            on the CPU threads of this worker, in order                    │
//!            and its pace                                                                         └ not polled while the
//!                                                                          client does not read: then nothing is read either
//! ```
//!
//! - **Memory** is that of the pipeline, charged to the budget of the worker (`--memory`) whatever the size of the body is.
//! - **Errors** that show before the answer has begun are a status and a problem. The head waits for the first bytes of the
//!   answer, a little longer than that: what is wrong with a small body is known before anything is said. Later errors end
//!   the connection (in HTTP/2: the stream), so that the client sees a cut answer; they are logged and counted.
//! - **Slow clients**: a body must keep its rate while we wait for it, and only then; an answer that is not read for a minute
//!   ends with its connection.
//! - **A client that is gone** takes its pipeline with it: dropped, it stops.
//!
//! A client has to read while it sends: one that sends all of a large body first, and reads then, is not read from any more once
//! the buffers of its own connection are full.

mod answer;
mod failure;
mod intake;
mod pace;
mod request;
pub(crate) mod secrets;
mod underway;

pub(crate) use request::{RequestStream, hands};
pub(crate) use secrets::Passphrases;
pub(crate) use underway::Operation;
