//! Node's cluster, as its primary: what `node:cluster` says to its parent, and connections for its workers.
//!
//! ```text
//!   Node worker ── queryServer, listening, close, {ack, accepted} ──► Hall ── Said ──► attendant
//!        ▲                                                           │  │
//!        └──── newconn + descriptor ◄── line ◄── Door (accepts) ◄────┘  └─ shared: the socket itself
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `hall.rs` | all workers and doors; what the attendant calls |
//! | `hearing.rs` | reads one worker's channel and does what it says |
//! | `words.rs`, `query.rs` | the words of `node:cluster` |
//! | `doors.rs`, `door.rs` | which sockets are open, for whom |
//! | `dispatch.rs`, `seat.rs` | connections and who has them |
//! | `pace.rs` | lets events gather while there are many |
//! | `open.rs`, `unix_file.rs`, `inherited.rs` | sockets |
//! | `keep.rs` | what outlives the process of a hall |
//! | `load.rs` | how busy a worker is |
//! | `relay.rs` | messages of the programs |

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

pub(crate) use hall::Hall;
pub(crate) use keep::{DoorCard, Kept};
pub(crate) use options::Options;
pub(crate) use pace::gather;
pub(crate) use said::{Address, Said};
