//! Typed messages, and descriptors with them, between two processes.
//!
//! ```text
//!   process A                                               process B
//!   Channel<Out, In> ── value, descriptors ─ stream socket ─► Channel<In, Out>
//!                    ── small values ─────── shared ring ───►   once they are many; no system call while both are awake
//!                    ── large payloads ───── shared ring ───►
//!                    ◄───────────── and the same way back ───
//! ```
//!
//! A [`Channel`] is one end of a Unix stream socket pair. Messages are any `serde` type, encoded with postcard; bytes
//! beside them ([`Attachments`]) cross in shared memory when they are many, and so do small messages once two ends
//! exchange many of them; descriptors ride on their message, on the socket. An
//! [`End`] is a channel's end before it is used: one descriptor, which a child inherits or is sent.
//!
//! ```
//! use phalanx_channel::{Attachments, End};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (ours, theirs) = End::<(String, u32), ()>::pair()?;
//! let (ours, theirs) = (ours.open()?, theirs.open()?);
//! ours.send(&("width".to_owned(), 800)).await?;
//! ours.send_with(&("picture".to_owned(), 0), Attachments::payload(b"...")).await?;
//! drop(ours);
//!
//! assert_eq!(theirs.recv().await?.unwrap().value, ("width".to_owned(), 800));
//! assert_eq!(theirs.recv().await?.unwrap().payload, b"...");
//! assert!(theirs.recv().await?.is_none()); // the end, after everything was received
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | you want | use |
//! |---|---|
//! | typed messages, requests and answers, large payloads | [`Channel`] |
//! | the same with a Node.js process on the other side | [`node::NodeChannel`] |
//! | small control messages without a runtime, one packet each | [`Packets`] |
//!
//! **Promises.** A send that returns was accepted by the kernel whole: it arrives even if we die now. Everything the peer
//! wrote before it died is received, and then the end; half a message never. A peer that does not read costs a bounded
//! buffer and, after a deadline, an error. What a peer announces is held against a limit before memory is taken for it,
//! and what does not decode, or lost its descriptors on the way, is an error: nothing is guessed.
//!
//! **What it does not do.** The encoding carries no types: both ends must name the same one (`1i32` is not `1u32`), so
//! both should be the same executable. A type that contains itself (a tree) can be nested so deeply by a hostile peer that
//! decoding it overflows the stack: between programs that do not trust each other use flat types. It connects processes
//! of one machine.

#![deny(unsafe_op_in_unsafe_fn)]

mod arena;
mod channel;
mod end;
mod error;
mod frame;
mod incoming;
mod lane;
mod message;
#[cfg(feature = "node")]
pub mod node;
mod options;
mod outgoing;
mod packets;
mod socket;
mod spin;
mod watched;
mod wire;

pub use channel::{Channel, Receiver, Sender, TryRecv};
pub use end::End;
pub use error::Error;
pub use message::{Attachments, Message, Ticket};
pub use options::{DescriptorPolicy, Options};
pub use packets::{MAX_MESSAGE, Packets, Received};
pub use socket::MAX_DESCRIPTORS;
pub use watched::Watched;
