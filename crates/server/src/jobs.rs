//! Jobs: work that is taken in now and done later, by whoever has a core; kept in a queue over any crash.
//!
//! ```text
//!   POST /v1/jobs ────────────────┐                        ┌── a worker of this server ── its pools, after the requests
//!   any CPU route ── respond-async┼── submission ──► queue ┤
//!   any CPU route ── Idempotency-Key                       └── `phalanx work`, here or on another machine
//!                                                     │
//!   GET /v1/jobs/{id}/result ◄── answer ◄── its end ◄─┘      the same bytes as the synchronous route gives
//! ```
//!
//! An id has 62 random bits, which nobody guesses: **whoever has the id of a job can read its result.** Whoever may list jobs
//! (`GET /v1/jobs`) has all ids.

mod answer;
mod connection;
mod events;
mod figures;
mod idempotency;
mod preference;
mod status;
mod submission;
mod terms;
mod trouble;
mod working;

pub(crate) use answer::{Answered, answer};
pub(crate) use connection::{Connection, no_queue};
pub(crate) use events::{MOST_STREAMS, events};
pub(crate) use figures::figures;
pub(crate) use preference::Preference;
pub(crate) use status::{described, described_whole, error_of, of_queue, state_of, state_parameter};
pub(crate) use submission::{Order, Wish, accepted, wanted};
pub(crate) use terms::{BLOBS_UNUSED_FOR, Terms};
pub(crate) use working::work_until_stopped;
