//! Memory that threads **and** processes see at once.
//!
//! A Phalanx cluster keeps two things where every process can read them without a system call: how busy each
//! worker is (one scoreboard [`Slot`] each), and who may use a core right now ([`Permits`]); and large payloads pass from
//! one process to another through a ring ([`RingWriter`], [`RingReader`]). All of it lives in [`Segment`]s: anonymous,
//! sealed memory that the kernel frees when the last process lets go of it. Nothing has a name in a file system, so
//! nothing can be left behind.
//!
//! ```text
//!   primary ── Segment::create ──► memfd ◄── mapped by ── worker 1, worker 2, …
//!                                   │
//!                                   └─ sealed: it can neither shrink (no SIGBUS) nor grow
//! ```
//!
//! ```
//! use phalanx_shared::Segment;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! let ours = Segment::create("example", 4096)?;
//! let theirs = Segment::map(ours.descriptor()?)?; // what another process does with the descriptor it was given
//! let [a, b] = [&ours, &theirs].map(|segment| segment.words::<AtomicU64>());
//! a[0].store(42, Ordering::Release);
//! assert_eq!(b[0].load(Ordering::Acquire), 42);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **Promises.** A mapping never raises SIGBUS; a process that dies leaves nothing that blocks another; nobody
//! indexes by a value that another process wrote.
//!
//! **What it does not do.** No locks (a dead owner would hold them for ever), no pointers inside shared memory, no
//! growth.

#![deny(unsafe_op_in_unsafe_fn)]

mod blob;
mod buffer;
mod bytes;
mod error;
mod fail_point;
mod futex;
mod messages;
mod permits;
mod ring;
mod scoreboard;
#[cfg(test)]
mod second_process;
mod segment;
mod wait_async;

pub use blob::Blob;
pub use buffer::{Element, SharedBuffer, View, Waitable, Waited};
pub use error::Error;
pub use messages::{Bell, RingReceiver, RingSender};
pub use permits::{Generation, Owner, Permit, Permits, SlotIndex};
pub use ring::{Freed, RingReader, RingWriter};
pub use scoreboard::{Field, Slot, Snapshot};
pub use segment::{Segment, SharedWord};
