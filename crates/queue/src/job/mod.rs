//! The words of the job model, and what keeps it: [`JobStore`].
//!
//! ```text
//!   scheduled ──(its time)──► ready ──(claim)──► leased ──► done
//!       ▲                       ▲                  │ ├────► dead        (errors or crashes used up, or hopeless)
//!       └──── error, crash ─────┴── handed back ───┘ └────► cancelled
//!   waiting-children ──(all children ended)──► ready            (parents of a flow)
//! ```
//!
//! A job is delivered **at least once**; its result is recorded **once**: whoever finishes shows its [`Token`], and a token of an
//! older attempt is refused.
//!
//! **Order.** A queue gives out what has the smallest *rank*: `ready since − priority × 30 s`. So higher priorities go first, and
//! what waits long enough overtakes them: one number, one index, in every store.

mod flow;
mod id;
mod limits;
mod new;
mod outcome;
mod retry;
mod status;
mod store;

pub use flow::{ChildEnd, NewFlow, OnFailure};
pub use id::{JobId, Token};
pub use limits::{KindLimits, Pause, Schedule};
pub use new::{NewJob, PRIORITY_STEP, Unique, Work, rank};
pub use outcome::{Claim, Finish, Heartbeat, Lease, Outcome, Recorded, Revoked, Standing};
pub use retry::RetryPolicy;
pub use status::{JobEnd, JobFilter, JobState, JobStatus};
pub use store::{JobStore, Submitted};
