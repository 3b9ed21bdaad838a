//! The promises about requests once more with `--isolate thread` (the harness looks at the name of this file): to a client,
//! nothing is different.

#![allow(clippy::duplicate_mod, reason = "each of these files brings the harness along")]

#[path = "bad_input.rs"]
mod bad_input;
#[path = "jobs.rs"]
mod jobs;
#[path = "limits.rs"]
mod limits;
#[path = "routes.rs"]
mod routes;
