//! Memory: see it, bound it, find the leak.
//!
//! A server inside a container sees the whole machine in `/proc/meminfo` and in the number of cores; what it may use
//! stands in the control groups. This crate reads both and answers with the smallest. It says what a process uses and what its
//! allocator holds, admits work by a budget of bytes, finds what grows, and has the kernel enforce a limit where it may.
//!
//! ```text
//!   /proc/self/cgroup ──► where am I ──┐                          ┌─ total()         64 GiB machine, memory.max 2 GiB → 2 GiB
//!   /proc/self/mountinfo ► where is it ┼─► every level of the ────┼─ totals()        used, free, pressure, kills
//!   memory.max, cpu.max, v1 names ─────┘   path: the smallest     ├─ cpu_quota()     cpu.max 150000 100000 → 1.5
//!                                                                 └─ usable_cores()  affinity 8, quota 1.5 → 1
//!
//!   /proc/self/statm ────────► resident()   cheap (microseconds)
//!   /proc/self/smaps_rollup ─► usage()      exact (walks all mappings): proportional, unique, anonymous, ┐
//!   the allocator ───────────► heap()       live bytes, held bytes; give_back() hands the rest back      ├─ one Usage
//!   Budget, Account ─────────► accounts()   what each pool of bytes holds, its limit and its peak        ┘
//!
//!   Budget ── try_reserve(bytes) ──► Reservation (gives the bytes back when dropped) | Exhausted { wanted, free, limit }
//!   LeakDetector ── add(Sample { work, load, value }) ──► Leak: per request, with its confidence; once
//!   Groups::find ── create(name, limit) ──► Group: a limit that the kernel enforces (cgroup v2 or v1)
//!   profile ── start() … pprof(), flame_graph() ──► who allocated what lives (feature `heap-profile`)
//! ```
//!
//! ```
//! use phalanx_memory::{Budget, resident, total, usable_cores};
//!
//! println!("{} of {}, {} cores", resident()?, total(), usable_cores());
//!
//! let uploads = Budget::named("uploads", total().bytes / 4);
//! match uploads.try_reserve(12_000_000 * 4) {
//!     Ok(reservation) => drop(reservation), // decode the picture first, then let go
//!     Err(exhausted) => eprintln!("come back later: {exhausted}"),
//! }
//! # Ok::<(), phalanx_memory::Error>(())
//! ```
//!
//! **Promises.** Every size is in bytes. Nothing here panics, whatever the files say: unreadable, absent, garbage and
//! "max" all mean "no limit from here"; a figure that cannot be read is `None`, never 0. Every parser is a function of text. What looks for a
//! long time (the leak detector, the registry of accounts) has bounded memory. `unsafe` only to talk to the allocator.
//!
//! **What it does not do.** It drains and kills nothing: that a process has grown too large, and what follows, is the cluster's decision
//! (`phalanx-cluster`). It caches nothing: read limits once at start, usage once a second.

#![deny(unsafe_code)]

mod account;
mod allocator;
mod budget;
mod cgroup;
mod cores;
mod descriptors;
mod error;
mod files;
mod group;
mod heap;
mod leak;
mod limit;
pub mod profile;
mod rollup;
mod totals;
mod usage;

pub use account::{Account, MOST_ACCOUNTS, PoolUsage, accounts};
pub use allocator::Allocator;
pub use budget::{Budget, Exhausted, Reservation};
pub use cores::{cpu_quota, usable_cores};
pub use descriptors::descriptors;
pub use error::Error;
pub use group::{Group, GroupError, Groups, NoGroups};
pub use heap::{Heap, HeapSource, give_back, heap};
pub use leak::{Leak, LeakDetector, Resource, Sample};
pub use limit::{Limit, Source, total};
pub use totals::{Pressure, Stall, Totals, TotalsReader, totals};
pub use usage::{Usage, UsageSource, anonymous, anonymous_of, resident, resident_of, usage, usage_of};
