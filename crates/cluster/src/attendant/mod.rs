//! The attendant: one process that plays the worker's part towards the primary for programs that know nothing of us.
//!
//! ```text
//!   primary ── link: seats ─────────────────► attendant ── Node's own channel ──► node app.js
//!      │  ◄── control connection of worker N ──── Seat N ◄── NOTIFY_SOCKET, health check, time
//!      └ starts, signals, reaps                    └ page of the scoreboard: heartbeat, connections
//! ```
//!
//! The primary keeps a copy of everything that it gives, so the attendant may be killed at any time: the next one takes the
//! seats over. It sends no signals and reaps nobody: what it wants done to a program it says over that program's
//! control connection ([`ToPrimary::Signal`](crate::control::ToPrimary)), because only who reaps a process knows that its number is still its own.
//!
//! | file | one idea |
//! |---|---|
//! | `link.rs` | what primary and attendant say to each other |
//! | `outbox.rs` | what the primary has not taken yet |
//! | `process.rs` | the process, from its first message to its last |
//! | `seat.rs` | one program: what it is told to do, and what it is found to be |
//! | `notify.rs` | `READY=1` and its like |
//! | `health.rs` | asks a health check |
//! | `node/` | Node's cluster, as its primary |
//! | `script.rs` | who hears what Node workers send to their primary |
//! | `nodes.rs` | what happens there, in the words of our own cluster |

mod health;
pub(crate) mod link;
pub(crate) mod node;
mod nodes;
mod notify;
mod outbox;
mod process;
mod script;
mod seat;

pub(crate) use link::ATTENDANT_ROLE;
pub(crate) use notify::{VARIABLE as NOTIFY_VARIABLE, socket as socket_for_notifications};
pub(crate) use process::play;
