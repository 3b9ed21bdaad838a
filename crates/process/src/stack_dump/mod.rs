//! Where every thread of a process stands: asked from outside, when it hangs.
//!
//! ```text
//!   worker                               primary                       dumper (this executable in a role)
//!   install(write end)                   pipe()                        a signal to each thread ──► worker
//!   each thread's handler walks its      dumper(&process, …).spawn()   reads the records, until all have answered
//!   own frames and writes ONE record     (never waits)                 or the deadline has come; /proc for the rest
//!   of addresses into the pipe ─────────────────────────────────────►  names from the files ──► text to the output
//! ```
//!
//! The handler does next to nothing: it runs in a thread that may stand anywhere, also inside the allocator. Whatever
//! needs memory, files or time happens in the dumper. A thread that cannot answer (stopped, in the kernel, or with all
//! signals blocked) is told of with what `/proc` knows of it.
//!
//! A walk over a stack that makes no sense ends in a fault, which the handler survives: then there are the frames until
//! there. So SIGSEGV and SIGBUS are handled too; those of anybody else go to whoever handled them before.
//!
//! The signal is [`signal_number`]: `SIGRTMIN + 5`, 39 with glibc (which keeps 32 and 33 for itself; the keeper of
//! [`own_tree`](crate::Command::own_tree) has `SIGRTMIN`). System calls that the kernel does not start again by itself end
//! with `EINTR` once, as with any signal.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::time::Duration;
//!
//! use phalanx_process::{Role, stack_dump};
//!
//! # fn main() -> Result<(), phalanx_process::Error> {
//! phalanx_process::init()?;
//! if let Some(mut role) = phalanx_process::take_role("worker") {
//!     stack_dump::install(role.take("stacks")?)?;
//!     // … works, and hangs one day
//! #   return Ok(());
//! }
//! let (stacks, theirs) = stack_dump::pipe()?;
//! let worker = Role::new("worker").descriptor("stacks", theirs.as_fd()).spawn()?;
//! // When it hangs:
//! let text = std::io::stderr();
//! let dumper = stack_dump::dumper(&worker, stacks.as_fd(), text.as_fd(), Duration::from_secs(2)).spawn()?;
//! # let _ = dumper;
//! # Ok(())
//! # }
//! ```
//!
//! Function names need a symbol table in the files, and lines need debug information; without the feature `symbols` (on by
//! default), and for a stripped program, there are the file and the address in it, as `addr2line -e FILE` takes it.

mod collect;
mod dump;
mod fault;
mod handler;
mod modules;
mod record;
mod role;
#[cfg(feature = "symbols")]
mod symbols;
mod task;

use std::os::fd::OwnedFd;

use rustix::pipe::PipeFlags;

pub use collect::collect;
pub use dump::{Dump, Frame, ThreadDump};
pub use handler::{install, signal_number};
pub(crate) use role::play;
pub use role::{ROLE, dumper};

use crate::Error;

/// The pipe of one process: the end to read from, for [`collect`] and [`dumper`], and the end for [`install`]. Both are
/// non-blocking and close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|source| Error::system("create a pipe for stack dumps", source))
}
