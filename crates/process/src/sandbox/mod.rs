//! The sandbox of a role: what a process denies itself before it runs what it does not trust.
//!
//! ```text
//!   Role::sandbox(level) ─► init() of the child, one thread, last of all:
//!     no new privileges ─► descriptors that nobody gave: closed ─► capabilities: none ─► no core dump
//!        ─► Landlock: an empty set of rules ─► seccomp: a list of the calls that remain ─► main goes on; confinement() tells
//! ```
//!
//! What is denied is an *error* for the code that tries it (EPERM; ENOSYS for calls of Linux 5.1 and newer, as an older kernel
//! would say, so that the C library falls back to what it did before). Nothing is killed: code that asks for too much goes on,
//! and its owner stays in charge of how.
//!
//! # What each level denies
//!
//! | the process wants to | [`Sandbox::Full`] | [`Sandbox::NoNetwork`] | by |
//! |---|---|---|---|
//! | open, list, stat, create, rename, remove a file | no | as the user may | seccomp; at `Full` also Landlock |
//! | read, write, map a descriptor that it was given | yes | yes | |
//! | change flags, owner, seals or length of one | no | flags, seals and length | seccomp |
//! | create a socket, connect, bind, listen, accept | no | no (a stream pair of its own: yes) | seccomp, Landlock (TCP, abstract names) |
//! | receive or pass descriptors over a socket that it was given | no | yes | seccomp |
//! | execute a program | no | no | seccomp, Landlock |
//! | fork | no | no | seccomp (`clone` for threads only) |
//! | start threads, allocate, sleep, poll, ask for time and randomness | yes | yes | |
//! | signal another process, trace it, read its memory, take its descriptors | no | no | seccomp, Landlock |
//! | signal itself (`abort`) | yes | yes | |
//! | map or make memory executable | no | yes | seccomp |
//! | memory that `RLIMIT_DATA` does not count: shared without a file, growing stacks | no | yes | seccomp |
//! | change its limits, priority, processors | no | its own, as far as anybody may | seccomp, no capabilities |
//! | change its user, session, death signal, name space, root | no | no | seccomp, no capabilities |
//! | `ioctl` | no | a few harmless ones | seccomp |
//! | memory files, shared memory of System V, message queues | no | memory files | seccomp |
//! | io_uring, bpf, perf, userfaultfd, keys, modules, mounts, clocks | no | no | seccomp |
//! | gain privileges by a file | no | no | no new privileges |
//! | leave a core dump | no | no | `RLIMIT_CORE` |
//!
//! At `Full` there is nothing by path, so two things of the standard library fail though they mean a descriptor: `File::metadata`
//! (the C library may ask by an empty path; ask by `fstat`), and `is_terminal` says no. Names of functions in a backtrace are
//! missing, because the executable cannot be read.
//!
//! What it does **not** protect from:
//!
//! - use of processor time and memory: deadlines and limits do that ([`Limit`](crate::Limit)). Bombs end at `RLIMIT_DATA`, but
//!   code that an attacker took over can hold more than that, and start more threads than are good for others; where that
//!   matters, bound both with a [control group](crate::Role::cgroup);
//! - side channels (time, caches, speculation), and bugs of the kernel in the calls that remain;
//! - harm through the descriptors that were given, the standard streams among them;
//! - at `NoNetwork`, harm by files: it may write what the user may write.
//!
//! Where the kernel lacks Landlock (before 5.13, or not in `lsm=`) `Full` still denies all of the table. `NoNetwork` then lets
//! the process write into other processes of the same user through `/proc`, so give it another user, or
//! [`SandboxPolicy::Require`].
//!
//! # Degraded, never in silence
//!
//! An old kernel, or the filter of a container, may lack or forbid a part. With [`SandboxPolicy::Prefer`] the child goes on with
//! the rest and [`confinement`] names what is missing; with [`SandboxPolicy::Require`] its [`init`](crate::init) fails with
//! [`Error::Sandbox`], which the parent reads by [`Process::refusal`](crate::Process::refusal). [`available`] tells before.

mod bpf;
mod calls;
mod confine;
mod confinement;
mod landlock;
mod seccomp;

use std::fmt;
use std::os::fd::RawFd;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

pub use confinement::Confinement;

use crate::Error;

/// How much a process is denied: see [`sandbox`](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Sandbox {
    /// Nothing is denied: the process may do what the user may.
    None,
    /// No network, no programs; files as the user may.
    NoNetwork,
    /// Only its memory, its processor and the descriptors that it was given: no files, no network, no programs, no signals.
    #[default]
    Full,
}

/// What to do where a part of a sandbox is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SandboxPolicy {
    /// No sandbox, whatever the level.
    Off,
    /// What there is; [`confinement`] names the rest.
    #[default]
    Prefer,
    /// All of it, or the process does not start.
    Require,
}

/// What a child is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SandboxOrder {
    pub(crate) level: Sandbox,
    pub(crate) policy: SandboxPolicy,
}

/// What holds for this process.
static ACTIVE: OnceLock<Confinement> = OnceLock::new();
/// What holds for one that was told nothing.
static NOTHING: Confinement = Confinement::none();

/// What this process is denied since [`init`](crate::init): what is truly active, not what was asked for.
pub fn confinement() -> &'static Confinement {
    ACTIVE.get().unwrap_or(&NOTHING)
}

/// What a child of this level would be denied, on this kernel and under the filters of this process. Changes nothing.
///
/// ```
/// use phalanx_process::{Sandbox, sandbox};
///
/// let here = sandbox::available(Sandbox::Full);
/// println!("{here}"); // full: landlock 7, seccomp
/// ```
pub fn available(level: Sandbox) -> Confinement {
    confine::probe(level)
}

impl SandboxOrder {
    /// Confines this process, which must have a single thread, and closes all descriptors above the standard streams but
    /// those that are kept.
    pub(crate) fn follow(self, kept: &[RawFd]) -> Result<(), Error> {
        let active = confine::confine(self.level, kept);
        if self.policy == SandboxPolicy::Require && !active.is_complete() {
            return Err(Error::Sandbox { level: self.level, missing: active.missing });
        }
        let _ = ACTIVE.set(active);
        Ok(())
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sandbox::None => "none",
            Sandbox::NoNetwork => "no network",
            Sandbox::Full => "full",
        })
    }
}

impl fmt::Display for SandboxPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SandboxPolicy::Off => "off",
            SandboxPolicy::Prefer => "prefer",
            SandboxPolicy::Require => "require",
        })
    }
}
