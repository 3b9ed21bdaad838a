//! How much memory and how many cores this process really has, how much it uses, and a budget to admit work by.
//!
//! A server inside a container sees the whole machine in `/proc/meminfo` and in the number of cores; what it may use
//! stands in the control groups. This crate reads both and answers with the smallest.
//!
//! ```text
//!   /proc/self/cgroup ──► where am I ──┐                          ┌─ total()         64 GiB machine, memory.max 2 GiB → 2 GiB
//!   /proc/self/mountinfo ► where is it ┼─► every level of the ────┼─ cpu_quota()     cpu.max 150000 100000 → 1.5
//!   memory.max, cpu.max, v1 names ─────┘   path: the smallest     └─ usable_cores()  affinity 8, quota 1.5 → 1
//!
//!   /proc/self/statm ────────► usage()      cheap (microseconds): resident, shared, virtual
//!   /proc/self/smaps_rollup ─► footprint()  exact (walks all mappings): proportional, private, swapped
//!
//!   Budget ── try_reserve(bytes) ──► Reservation (gives the bytes back when dropped) | Exhausted { wanted, free, limit }
//! ```
//!
//! ```
//! use phalanx_memory::{Budget, total, usable_cores, usage};
//!
//! println!("{} of {}, {} cores", usage()?.resident, total(), usable_cores());
//!
//! let uploads = Budget::new(total().bytes / 4);
//! match uploads.try_reserve(12_000_000 * 4) {
//!     Ok(reservation) => drop(reservation), // decode the picture first, then let go
//!     Err(exhausted) => eprintln!("come back later: {exhausted}"),
//! }
//! # Ok::<(), phalanx_memory::Error>(())
//! ```
//!
//! **Promises.** Every size is in bytes. Nothing here panics, whatever the files say: unreadable, absent, garbage and
//! "max" all mean "no limit from here". Every parser is a function of text. No `unsafe`.
//!
//! **What it does not do.** It measures and counts; it enforces nothing: to drain or kill a process that grew too large
//! is the cluster's decision. It caches nothing: read limits once at start, usage once a second.

#![forbid(unsafe_code)]

mod budget;
mod cgroup;
mod cores;
mod error;
mod files;
mod limit;
mod usage;

pub use budget::{Budget, Exhausted, Reservation};
pub use cores::{cpu_quota, usable_cores};
pub use error::Error;
pub use limit::{Limit, Source, total};
pub use usage::{Footprint, Usage, footprint, footprint_of, usage, usage_of};
