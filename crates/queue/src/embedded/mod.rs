//! The embedded queue: SQLite in one owner process, spoken to over a Unix socket.
//!
//! ```text
//!   producer ─┐                                    owner process (role "queue-owner"), holds FOLDER/lock
//!   runner ───┼── FOLDER/socket (0600) ──►  connections ─► engine: model in memory + SQLite (WAL, synchronous=FULL)
//!   serve ────┘    frames, see `words`      ◄── replies after the commit that makes them true (group commit)
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `words` | what client and owner say to each other |
//! | `frames` | how that stands on the socket |
//! | `folder` | the folder: what it must be like, its lock, its socket |
//! | `engine/` | the model: applies requests to memory and SQLite, commits, says who is to be told; no sockets, no threads, `now` given |
//! | `owner/` | the process: lock, socket, connections, the loop around the engine; started on demand or as a role of a cluster |
//! | `client/` | the other end: connect, start an owner if there is none, reconnect, claim leases again; [`Broker`](crate::Broker) and [`JobStore`](crate::job::JobStore) |

mod client;
#[doc(hidden)]
pub mod engine;
mod folder;
mod frames;
mod owner;
#[doc(hidden)]
pub mod words;

pub(crate) use client::connect;
pub use owner::Owner;
pub(crate) use owner::{ROLE, play};
