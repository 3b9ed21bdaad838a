//! Messages and sockets to and from Node.js, over the wire of `child_process.fork` and in either role.
//!
//! ```text
//!   Rust                                              Node (18 to 24, unmodified)
//!   NodeChannel ◄── Unix stream socket, both ways ──► process.send(…), process.on('message', …)
//!     │ send: queue ─► one writer, one handle at a time     or the same in the parent:
//!     └ recv: reader ─► decoder ─► bounded inbox            child.send(…), child.on('message', …)
//! ```
//!
//! The parent makes a pair of sockets, leaves one end open in the child and names it in two environment variables,
//! [`CHANNEL_FD_VARIABLE`] and [`SERIALIZATION_VARIABLE`]. Nothing is negotiated: both ends are told the same
//! [`Serialization`], and from then on each sends what it likes. A child takes both variables out of its environment, so that
//! its own children do not take the socket for theirs.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use std::time::Duration;
//!
//! use phalanx_channel::node::{NodeChannel, Serialization};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Sum {
//!     numbers: Vec<f64>,
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! // The other end would be in a Node process: `process.on('message', m => process.send(m.numbers.reduce(…)))`.
//! let (ours, theirs) = UnixStream::pair()?;
//! let parent: NodeChannel<Sum, f64> = NodeChannel::open(ours.into(), Serialization::Json)?;
//! let child: NodeChannel<f64, Sum> = NodeChannel::open(theirs.into(), Serialization::Json)?;
//!
//! parent.send(&Sum { numbers: vec![1.0, 2.5] }).await?;
//! let incoming = child.recv().await?.expect("a message, not the end");
//! child.send(&incoming.value.numbers.iter().sum()).await?;
//! assert_eq!(parent.recv().await?.expect("the answer").value, 3.5);
//!
//! parent.close(Duration::from_secs(5)).await?;
//! assert!(child.recv().await?.is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Sockets travel with messages as [`Handle`]s: listening ones, connections and UDP sockets, and each becomes a `net.Server`,
//! `net.Socket` or `dgram.Socket` on the other side, or a socket of `std` here. [`Value`] is any message that Node can send,
//! for programs without a type for it. The decoders [`json::Decoder`] and [`advanced::Decoder`] work without a socket.
//!
//! **Promises.** A [`send`](NodeChannel::send) that returns is with the kernel: it survives the end of this process (in Node
//! itself, messages before `process.exit` get lost). Everything that the peer wrote is received before the end, whether the
//! end comes as EOF or as a reset. The queue and the inbox are bounded in bytes: a peer that does not read makes `send` wait,
//! a program that does not receive makes the peer wait. No length is believed before it is compared with a limit, and no
//! input makes the decoders panic, recurse, or reserve memory for what is not there. Nothing is sent that would end a Node
//! process: no blank line, no confirmation that it does not wait for, no descriptor that it does not know, no socket that
//! blocks its event loop.
//!
//! **What it does not do.** It starts no processes. It is no port of `node:cluster`: messages of Node's own can be sent and
//! received ([`NodeChannel::send_internal`], [`InternalMessages::Deliver`]), but their meaning is left to the caller. It does
//! not count connections that it gave away, as a `net.Server` does. Functions, symbols, promises, shared memory and
//! prototypes of classes do not travel, as in Node.

mod accounts;
pub mod advanced;
mod channel;
mod connection;
mod error;
mod handle;
mod incoming;
mod internal;
pub mod json;
mod options;
mod outgoing;
mod parcel;
mod reading;
mod unread;
mod unsent;
mod value;

pub use accounts::Held;
pub use channel::{Incoming, NodeChannel};
pub use error::Error;
pub use handle::Handle;
pub use options::{InternalMessages, Options, PeerVersion, Serialization};
pub use parcel::{Fate, Form, Parcel};
pub use value::{
    BigInt, ErrorClass, ErrorValue, Label, OutOfRange, RegExp, ResizableBuffer, SparseArray, Value, View, ViewKind,
};

/// The environment variable that holds the number of the child's descriptor.
pub const CHANNEL_FD_VARIABLE: &str = "NODE_CHANNEL_FD";

/// The environment variable that holds the [name](Serialization::name) of the serialization; without it, it is `json`.
pub const SERIALIZATION_VARIABLE: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// Deepest nesting of arrays, objects and the like in a message; `serde_json` has the same limit.
pub const MAX_NESTING: usize = 127;
