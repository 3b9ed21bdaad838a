//! Messages and sockets to and from Node.js: the wire of `child_process.fork`, in either role.
#![allow(missing_docs)]

mod accounts;
pub mod advanced;
mod channel;
mod error;
mod handle;
mod incoming;
mod internal;
pub mod json;
mod options;
mod outgoing;
mod unread;
mod unsent;
mod value;

pub use accounts::Held;
pub use channel::{Incoming, NodeChannel};
pub use error::Error;
pub use handle::Handle;
pub use options::{InternalMessages, Options, PeerVersion, Serialization};
pub use value::{
    BigInt, ErrorClass, ErrorValue, Label, OutOfRange, RegExp, ResizableBuffer, SparseArray, Value, View, ViewKind,
};

/// Deepest nesting of arrays, objects and the like in a message; `serde_json` has the same limit.
pub const MAX_NESTING: usize = 127;
