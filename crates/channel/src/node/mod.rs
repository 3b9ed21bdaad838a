//! Messages and sockets to and from Node.js: the wire of `child_process.fork`, in either role.
#![allow(missing_docs)]

pub mod advanced;
mod error;
pub mod json;
mod unread;
mod value;

pub use error::Error;
pub use value::{BigInt, ErrorClass, ErrorValue, Label, RegExp, ResizableBuffer, SparseArray, Value, View, ViewKind};

/// Deepest nesting of arrays, objects and the like in a message; `serde_json` has the same limit.
pub const MAX_NESTING: usize = 127;
