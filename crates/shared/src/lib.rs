//! Memory that threads **and** processes see at once: what `SharedArrayBuffer` and `Atomics` are in Node, beyond the process.
//!
//! ```text
//!   process A            sealed memory file, without a name             process B
//!   SharedBuffer, View ─► │ length │ integers, changed atomically │ ◄─ SharedBuffer
//!       wait ◄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ the kernel's futex ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ notify
//!   RingSender ─────────► │ head │ message │ message │ … │ tail │ ──► RingReceiver
//!   Blob ───────────────► │ bytes that nobody can change │ ──────────► Blob
//!   Slot, Permits ──────► │ counters, owners of cores │ ◄──── Slot, Permits
//!                              ▲
//!        a descriptor: inherited, or sent through a channel
//!        (the memory is gone when the last handle and descriptor are)
//! ```
//!
//! ```
//! use phalanx_shared::{SharedBuffer, Waited};
//! use std::time::Duration;
//!
//! let buffer = SharedBuffer::new(1024)?;
//! let descriptor = buffer.descriptor()?; // goes to another process; here a thread plays it
//! let other = std::thread::spawn(move || {
//!     let view = SharedBuffer::from_descriptor(descriptor)?.view::<i32>()?;
//!     view.add(0, 5)?; // in place
//!     view.store(1, 1)?;
//!     view.notify_all(1)
//! });
//!
//! let view = buffer.view::<i32>()?;
//! view.add(0, 10)?;
//! while view.load(1)? == 0 {
//!     assert_ne!(view.wait(1, 0, Some(Duration::from_secs(10)))?, Waited::TimedOut);
//! }
//! assert_eq!(view.load(0)?, 15);
//! # other.join().unwrap()?;
//! # Ok::<(), phalanx_shared::Error>(())
//! ```
//!
//! | you want | use |
//! |---|---|
//! | bytes and integers that several change | [`SharedBuffer`], [`View`] |
//! | to sleep until another process has changed one | [`View::wait`], [`View::wait_async`], [`View::notify`] |
//! | messages from one process to another, as fast as memory allows | [`RingSender`], [`RingReceiver`] |
//! | large bytes handed over without a copy | [`Blob`] |
//! | the same again and again through warm memory, to a process that trusts us | [`MemoryFile`], [`Lent`] |
//! | counters and histograms that can be read after their writer was killed | [`Slot`], [`ClusterPage`] |
//! | to share the cores of the machine | [`Permits`] |
//! | messages of any type, descriptors, an end that tells when the other has died | the crate `phalanx-channel`, which is built on this |
//!
//! # Promises
//!
//! - Another process can write anything at any moment, shrink what it handed out, lie about lengths and positions: it gets an
//!   [`Error`] out of us, or values that make no sense, and never a SIGBUS, a SIGSEGV or an access beyond the memory.
//!   Nobody indexes by a value that another process wrote.
//! - A process that is killed (`kill -9`, anywhere) leaves nothing that blocks another: no lock, no sleeper that takes a
//!   notify, no half message. What it wrote before can be read.
//! - No notify is lost, by threads that wait and by futures, within and between processes.
//! - Nothing has a name in a file system, so nothing can be left behind.
//! - Memory that nobody touched is not used, however large a buffer may grow.
//!
//! # What it does not do
//!
//! No locks: a dead owner would hold them for ever. No pointers and no types inside shared memory but integers. No
//! protection of what processes of one user agreed to share: who was given a descriptor can write everywhere in it. It does
//! not tell that another process has died (a channel does), so give waits a deadline. Elements of 64 bits cannot be
//! waited on: the kernel's futex has 32. Linux only; asynchronous waits need 5.16.
//!
//! # Cost
//!
//! An operation on an element is a check of the length and one instruction. A wait, and a notify, is one system call
//! each. A message through a ring is two copies, and no system call while the other side is awake.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(feature = "serde")]
pub mod aside;
mod blob;
mod buffer;
mod bytes;
mod error;
mod fail_point;
mod futex;
mod lending;
mod messages;
mod permits;
mod ring;
mod scoreboard;
#[cfg(test)]
mod second_process;
mod segment;
mod spinner;
mod wait_async;

pub use blob::Blob;
pub use buffer::{Element, SharedBuffer, View, Waitable, Waited};
pub use error::Error;
pub use lending::{Lent, LentBytes, LentRegion, MemoryFile};
pub use messages::{Bell, RingReceiver, RingSender};
pub use permits::{Generation, Owner, Permit, Permits, SlotIndex};
pub use ring::{Freed, RingReader, RingWriter};
pub use scoreboard::{Buckets, ClusterField, ClusterPage, Field, Histogram, Slot, SlotHistogram, Snapshot, Totals};
pub use segment::{Segment, SharedWord};
pub use spinner::Spinner;
