//! Jobs over a broker that keeps no state: the part of the job model that messages can carry.
//!
//! ```text
//!   submit ─► message in QUEUE: body = payload, headers phalanx-* = the rest ─► consume(credit) ─► Lease
//!                ▲                                                                             │ finish
//!                └── replace: counters, delay ◄── Failed, Crashed ─────────────────────────────┤
//!   ended ◄── reply queue of the submitter ◄── Done, Cancelled, dead ──────────────────────────┤
//!   QUEUE.dead ◄── errors or crashes used up, hopeless, too late ──────────────────────────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `envelope` | a job as a message, and back |
//! | `runners` | what each runner of this handle has: consumers, leases |
//! | `replies` | the ends of our own jobs |
//! | `inner` | leases, and how attempts end |
//! | `store` | [`PlainStore`]: [`JobStore`](crate::job::JobStore) over these |
//!
//! What cannot be done so (looking a job up, cancelling it, unique keys, schedules, limits, flows) is
//! [`Error::Unsupported`](crate::Error::Unsupported). A job is delivered at least once. Its result is recorded once by whoever
//! submitted it: the first reply counts.

mod envelope;
mod inner;
mod replies;
mod runners;
mod store;

pub(crate) use store::PlainStore;
