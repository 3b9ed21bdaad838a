//! The scoreboard: what each worker says of itself and the primary of the cluster, readable by everybody without a system
//! call, and still readable after its writer was killed.
//!
//! ```text
//!   Slot 0 ─ memfd ─ written by the worker that has it, mapped read-only by all others
//!   Slot 1 ─ memfd ─ …          │ ends
//!                               ▼
//!   ClusterPage ─── memfd ─ written by the primary: places, starts, kills, and the sums of all workers that have ended
//! ```
//!
//! One [`Slot`] is one sealed memory file. It outlives the worker that writes it: the primary creates it, hands it to
//! each worker that takes the slot, and calls [`ClusterPage::bury`] (or [`Slot::vacate`]) when that worker is gone. Every
//! value is a single atomic word, so no reader can see a torn one; words of one slot are not snapshotted together, but
//! [`Slot::snapshot`] sees to it that all of them are of one and the same worker, and [`ClusterPage::totals`] that a
//! worker that ends meanwhile is counted once.
//!
//! # The layout, in words of 64 bits
//!
//! | word | in a slot | in the cluster page |
//! |---|---|---|
//! | 0 | the mark with the version | another mark |
//! | `n`, 1…63 | the [`Field`] of number `n` | the [`ClusterField`] of number `n` |
//! | 64 | changes of occupants, odd while one is being made | burials, odd while one is being made |
//! | 128+`n` | – | the sum of field `n` over the workers that have ended |
//! | 128+32`h` / 192+32`h` | the [`Histogram`] of number `h`: 24 buckets, then the sum in µs | the same, over those that have ended |
//!
//! Processes of different versions read each other's pages, across an upgrade. So: a page is 4096 bytes for ever, there are
//! no pointers in it, a number is given once and never again to something else, and what is unknown to the writer is
//! zero for the reader. Emptying a slot empties all of it, also what the one who does it does not know.
//!
//! Errors: those of [`Segment`](crate::Segment); `InvalidData` when the layout is of another version.

mod cluster;
mod fields;
mod histogram;
mod page;
mod slot;

pub use cluster::{ClusterField, ClusterPage, Totals};
pub use fields::Field;
pub use histogram::{Buckets, Histogram};
pub use slot::{Slot, SlotHistogram, Snapshot};
