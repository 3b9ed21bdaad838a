//! The dispatcher: a process between the listening sockets and the workers, for the distributions that need one mind
//! (`round-robin`, `least-loaded`, `sticky`).
//!
//! ```text
//!   primary ── keeper ── link: sockets, desks ──► dispatcher ◄── backlog (kernel)
//!      │ keeps a copy of every desk                │ accepts only what somebody can take
//!      ▼                                           ▼
//!   worker ── intake ◄── desk: offer + socket ── choice
//!                └── claim (shared memory) ──► the dispatcher lets go of its copy
//! ```
//!
//! A connection belongs to the dispatcher until a worker claims it ([`claims`]). So nothing is lost when a worker dies, and
//! a worker that stands still only holds up for [200 ms](desk) what was offered to it: both go to another. When the
//! *dispatcher* is killed, what it has offered is claimed all the same, and the backlog waits for the next one, which the
//! primary starts at once; lost is what it had accepted and could offer to nobody, which is nothing unless workers ended or
//! stood still at that very moment. While nobody can take a connection, none is accepted.
//!
//! Cost: two system calls a connection in here and three in the worker, and one more way through the scheduler. What a
//! stopped worker has in its queue is held by it until it goes on or ends, even if another one serves it: such a
//! connection ends for its client when its server says so (`FIN`), but not by a mere `close`.

mod choice;
mod claims;
mod desk;
mod doors;
mod intake;
mod keeper;
mod link;
mod process;

#[cfg(feature = "program")]
pub(crate) use choice::{Candidate, choose};
pub(crate) use intake::Intake;
pub(crate) use keeper::{Keeper, NewDesk, Started};
pub(crate) use link::{DISPATCHER_ROLE, descriptor};
pub(crate) use process::play;
