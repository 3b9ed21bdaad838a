//! Child processes: any program, this program in another part, or Node; with their streams, their messages, and their
//! whole tree.
//!
//! ```text
//!   spawn, exec, fork ──► spawner thread ──► posix_spawn ──────────────────► the program
//!        │                (never ends,   └─► launcher (this executable) ──► limits, user, … ──► exec ──► the program
//!        ▼                 reaps who                 └─► keeper (own_tree): adopts whoever loses its parent
//!   Child: pidfd, streams  nobody holds)
//!     exited(), closed(), events(), kill(), kill_tree(), timeout ─► signal ─► grace ─► SIGKILL, for the whole tree
//! ```
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::time::Duration;
//!
//! use phalanx_process::{Command, ExitStatus, exec};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! // Run to the end and collect.
//! let said = exec("echo hello").timeout(Duration::from_secs(5)).await?;
//! assert_eq!(said.stdout_text(), "hello\n");
//!
//! // Start and talk.
//! let mut child = Command::new("sort").spawn().await?;
//! let mut stdin = child.stdin.take().expect("a pipe");
//! stdin.write_all(b"b\na\n").await?;
//! drop(stdin); // the end of its input
//! let mut sorted = String::new();
//! child.stdout.take().expect("a pipe").read_to_string(&mut sorted).await?;
//! assert_eq!((sorted.as_str(), child.closed().await?), ("a\nb\n", ExitStatus::Code(0)));
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! | you want | use |
//! |---|---|
//! | the output of a program, within limits | [`exec()`], [`exec_file`] |
//! | a program with streams, a timeout, limits, another user | [`Command`], [`Child`] |
//! | several that stand and fall together | [`Group`] |
//! | messages with another part of this program, or with another program | [`fork()`], [`Fork`], and [`parent()`] in the child |
//! | messages with a Node script, or to be the child of a Node program | [`fork_node`], [`parent()`] |
//! | the same without a runtime | [`blocking`] |
//! | this program as another part, with descriptors, limits, a user | [`Role`], [`Process`] |
//! | a part that may do next to nothing | [`Role::sandbox`], [`sandbox`] |
//! | to become another image without a stop, and to go back | [`upgrade`] |
//! | to know where every thread of a process hangs | [`stack_dump`] |
//! | signals to read, sockets and notices of systemd, a pid file | [`Signals`], [`service`] |
//! | end a process and everything below it | [`Child::kill_tree`], [`kill_tree()`], [`Command::own_tree`] |
//!
//! # Roles
//!
//! A Phalanx program is one executable that plays several parts: the primary, a worker, a fork, the launcher. Each part is
//! the same file, executed again; nothing of a program with threads is ever bare-forked. So [`init`] is the first line of
//! `main`: it takes the role out of the environment, makes every inherited descriptor close-on-exec, and sees to it that a
//! part dies with its parent. What needs it says so ([`fork()`], limits, [`Command::die_with_parent`], …); a plain
//! [`Command`] does not.
//!
//! ```
//! phalanx_process::init()?; // the first line of `main`
//! assert!(phalanx_process::role().is_none()); // nobody spawned us in a role
//! # Ok::<(), phalanx_process::Error>(())
//! ```
//!
//! # Promises
//!
//! - Starting a program costs the same for a small parent and for one of many gigabytes, and stops no thread of a runtime.
//! - An error of a start says which file, directory, argument or limit it was; nothing is left of the child then.
//! - Every child has a reaper, also one that was dropped, or whose runtime is gone. A pid is never signalled without a pidfd.
//! - [`Child::exited`] and [`Child::closed`] resolve when the process has ended, however often they are awaited, and whether
//!   or not its output was read. What it wrote before can still be read then.
//! - Memory for output is bounded: a child that is not read waits in its pipe; collected output has a limit and says when it
//!   was cut.
//! - A timeout ends everything below the child too. With [`Command::own_tree`] nothing of a tree outlives the child or this
//!   process, whoever is killed, in whichever way (but the keeper itself by a SIGKILL from elsewhere).
//! - A replaced file on disk never mixes versions: parts execute `/proc/self/exe`. A part gets the descriptors that it was
//!   given and no others.
//!
//! # What it does not do
//!
//! It supervises nothing, restarts nothing, and knows no roles but fork and launcher: that is the business of the crates
//! above. Without [`Command::own_tree`] or a process group, descendants whose own parent has ended are not found. Only
//! parts of this program can be put into a [`sandbox`], no other programs. Linux ≥ 5.10 only.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("Phalanx runs on Linux (5.10 or newer) on x86-64 and aarch64 only");

pub mod blocking;
mod child;
mod collector;
mod command;
mod conversation;
mod descriptors;
mod ending;
mod environment;
mod error;
mod events;
mod exec;
mod exec_error;
mod execute;
mod exit_status;
mod fork;
mod group;
mod image_pages;
mod init;
mod kept;
mod kernel;
mod launcher;
mod lookup;
mod nameless_file;
mod node_parent;
mod open_files;
mod parent;
mod posix_spawn;
mod prepared;
mod process;
mod process_table;
mod refusal;
mod role;
pub mod sandbox;
pub mod service;
mod settings;
mod signal_mask;
mod signals;
mod spawn_error;
mod spawner;
pub mod stack_dump;
mod stdio;
mod strays;
mod streams;
mod time;
mod tree;
pub mod upgrade;

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
pub use image_pages::let_go_of_image_pages;
pub use init::{TakenRole, init, initialized, role, take_role};
pub use open_files::raise_open_files;
pub use parent::{Parent, parent};
pub use process::Process;
pub use role::Role;
pub use sandbox::{Confinement, Sandbox, SandboxPolicy, confinement};
pub use settings::Limit;
pub use signals::{Signal, Signals, die_now};
pub use spawn_error::SpawnError;
pub use stdio::Stdio;
pub use strays::{Stray, Strays};
pub use streams::{ChildOutput, ChildPipe, ChildStdin};
pub use tree::kill_tree;
