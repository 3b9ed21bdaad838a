//! Typed messages, and descriptors with them, between two processes.
//!
//! ```text
//!   process A                                   process B
//!   Packets ──── one message = one packet ────► Packets
//!           ◄─── (+ up to 253 descriptors) ────
//! ```
//!
//! [`Packets`] is one end of a `SOCK_SEQPACKET` pair: the kernel keeps the borders of messages, so there is nothing
//! to reassemble and no half message, whatever moment a process is killed at. Messages are any `serde` type,
//! encoded with postcard, at most [`MAX_MESSAGE`] bytes. Neither end ever blocks: the owner polls the descriptor.
//!
//! ```
//! use phalanx_channel::{Packets, Received};
//!
//! let (ours, theirs) = Packets::pair()?;
//! ours.send(&("square", vec![1u32, 2, 3]), &[])?;
//! let Received::Message(message, _descriptors) = theirs.receive::<(String, Vec<u32>)>()? else { unreachable!() };
//! assert_eq!(message, ("square".to_owned(), vec![1, 2, 3]));
//! drop(ours);
//! assert!(matches!(theirs.receive::<u8>()?, Received::Closed));
//! # Ok::<(), phalanx_channel::Error>(())
//! ```
//!
//! **Promises.** A send that returns was accepted by the kernel whole. Everything the peer wrote before it died is
//! still received, and then the end. A message that does not decode, and descriptors that were cut off, are errors:
//! nothing is guessed.
//!
//! **What it does not do.** The encoding carries no types: both ends must name the same one (`1i32` is not `1u32`). It does not wait, and it carries no large payloads.

#![deny(unsafe_op_in_unsafe_fn)]

mod error;
#[cfg(feature = "node")]
pub mod node;
mod packets;
mod watched;

pub use error::Error;
pub use packets::{MAX_DESCRIPTORS, MAX_MESSAGE, Packets, Received};
pub use watched::Watched;
