//! Node's cluster, as its primary: what `node:cluster` says to its parent, and connections for its workers.
//!
//! ```text
//!   Node worker ── queryServer, listening, close, {ack, accepted} ──► Hall ── Said ──► attendant
//!        ▲                                                           │  │
//!        └──── newconn + descriptor ◄── line ◄── Door (accepts) ◄────┘  └─ shared: the socket itself
//! ```
//!
//! A worker is any Node process from 18 on, with `json` or `advanced`; nothing is loaded into it. Its `listen()` asks the hall, which
//! opens a [door](door) once for all workers with the same wish. What is shared (and UDP always) goes to each worker as a socket;
//! otherwise the hall accepts, when somebody has room, and hands out: in turn, by load, or by the address of the client.
//!
//! **Promises.** A connection that a worker has not confirmed when its channel ends goes to another one; one that it has confirmed
//! and not answered is closed, so that its client hears of it (`Options::unanswered`). What nobody can take stays in the
//! kernel's backlog. A worker that refuses (`maxConnections`, a server that has closed) is asked again after pauses; one that owes
//! an answer for 10 ms gets no more until it has answered. The socket of workers that died stays open for 5 s. Nothing that
//! a worker sends makes the hall panic or grow: what makes no sense is told ([`Said::Misbehaves`]) and ignored.
//!
//! **What it does not do.** Servers with `exclusive` or `reusePort` never ask, so nobody here knows of them. How many
//! connections of a Node process are open is not known either. What was sent to a worker that hangs stays with it until it goes
//! on or is killed. A second `listen` of one worker on the same port is `EADDRINUSE`, with all versions, and one after a `close` is
//! none.
//!
//! | file | one idea |
//! |---|---|
//! | `hall.rs` | all workers and doors; what the attendant calls |
//! | `hearing.rs` | reads one worker's channel and does what it says |
//! | `words.rs`, `query.rs` | the words of `node:cluster` |
//! | `doors.rs`, `door.rs` | which sockets are open, for whom |
//! | `dispatch.rs`, `seat.rs` | connections and who has them |
//! | `pace.rs` | lets events gather while the workers have enough to do |
//! | `open.rs`, `unix_file.rs`, `inherited.rs` | sockets |
//! | `keep.rs` | what outlives the process of a hall |
//! | `load.rs` | how busy a worker is |
//! | `relay.rs` | messages of the programs: what their authors may send |
//! | `said.rs`, `options.rs` | what the attendant hears and sets |

mod dispatch;
mod door;
mod doors;
mod hall;
mod hearing;
mod inherited;
mod keep;
mod load;
mod open;
mod options;
mod pace;
mod query;
mod relay;
mod said;
mod seat;
#[cfg(test)]
mod tests;
mod unix_file;
mod words;

pub(crate) use hall::{Counts, Hall};
pub(crate) use keep::{DoorCard, Kept};
pub(crate) use options::Options;
pub(crate) use pace::gather;
pub(crate) use said::{Address, Said};
