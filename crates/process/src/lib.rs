//! This executable, started anew in another role.
//!
//! A Phalanx program is one executable that plays several parts: the primary, a worker, later a job process. Each
//! part is the same file, executed again; nothing is ever bare-forked.
//!
//! ```text
//!   main() ─► init() ─► no role in the environment: go on as the program that was started
//!                  └──► a role: take it out of the environment, make every inherited descriptor close-on-exec,
//!                       die with the parent ─► main() goes on, and the part that needs the role calls take_role()
//!
//!   spawn(Role) ─► posix_spawn("/proc/self/exe") with chosen descriptors ─► Process { pid, pidfd }
//! ```
//!
//! ```
//! // The first line of `main`:
//! phalanx_process::init()?;
//! assert!(phalanx_process::role().is_none()); // nobody spawned us in a role
//! # Ok::<(), phalanx_process::Error>(())
//! ```
//!
//! **Promises.** A replaced file on disk never mixes versions: children execute `/proc/self/exe`. A child in a role
//! gets the descriptors that it was given and no others. A child dies when its parent does. Spawning copies no page
//! tables (vfork path), however large the parent is.
//!
//! **What it does not do.** It supervises nothing and knows no roles: what a role means is the business of the crate
//! that spawned it. Linux ≥ 5.10 only.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Phalanx runs on Linux (5.10 or newer) on x86-64 and aarch64 only");

pub mod blocking;
mod child;
mod collector;
mod command;
mod conversation;
mod ending;
mod environment;
mod error;
mod events;
mod exec;
mod exec_error;
mod exit_status;
mod fork;
mod group;
mod init;
mod kept;
mod kernel;
mod launcher;
mod lookup;
mod node_parent;
mod open_files;
mod parent;
mod posix_spawn;
mod prepared;
mod process;
mod process_table;
mod role;
mod signals;
mod spawn_error;
mod spawner;
mod stdio;
mod streams;
mod time;
mod tree;

pub use child::Child;
pub use command::Command;
pub use conversation::Conversation;
pub use ending::EndReason;
pub use error::Error;
pub use events::{Event, Events};
pub use exec::{Exec, Output, exec, exec_file};
pub use exec_error::{ExecError, ExecFailure, OutputStream};
pub use exit_status::ExitStatus;
pub use fork::{Fork, ForkNode, fork, fork_node, forked};
pub use group::{Group, GroupOutcome};
pub use init::{TakenRole, init, initialized, role, take_role};
pub use launcher::Limit;
pub use open_files::raise_open_files;
pub use parent::{Parent, parent};
pub use process::Process;
pub use role::Role;
pub use signals::{Signal, Signals, die_now};
pub use spawn_error::SpawnError;
pub use stdio::Stdio;
pub use streams::{ChildOutput, ChildPipe, ChildStdin};
pub use tree::kill_tree;
