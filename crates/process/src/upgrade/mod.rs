//! Another image in the same process: the program replaces itself, and keeps its process id, its children and the
//! descriptors that it names.
//!
//! ```text
//!   old image                                              new image
//!   ExecInPlace::new(image_on_disk()?)                     init()
//!     .keep("listener", …)          hold back all signals    signals are noted again, and let through
//!     .exec() ─────────────────────► execve ───────────────► take_state(): the descriptors, by name
//!        │                                                   Process::adopt(pid) for each child
//!        └─ an Error: nothing has changed, it goes on
//! ```
//!
//! No signal is lost on the way. All other threads stand still before the exec (by `SIGRTMIN + 6`), so that none ends while
//! it handles one. The pipe of [`Signals`](crate::Signals) is handed over with what is in it; what comes
//! during the exec waits in the kernel; [`init`](crate::init) installs the handlers of the same signals anew *before* it
//! lets them through, and [`Signals::take`](crate::Signals::take) finds them all. So a program that was told SIGUSR2 or
//! SIGTERM between two images neither dies of it nor misses it.
//!
//! Children stay children, also their parent-death signal: it follows the main thread, which alone may call
//! [`exec`](ExecInPlace::exec). All other threads end, and with the spawner thread those commands that asked to
//! [die with their parent](crate::Command::die_with_parent).
//!
//! ```no_run
//! use std::os::fd::AsFd;
//!
//! use phalanx_process::upgrade::{self, ExecInPlace};
//!
//! phalanx_process::init()?;
//! let listener = match upgrade::take_state() {
//!     Some(mut state) => state.take("listener")?.into(),
//!     None => std::net::TcpListener::bind("127.0.0.1:0")?,
//! };
//! // … later, to become the file that is on disk now:
//! let error = ExecInPlace::new(upgrade::image_on_disk()?).keep("listener", listener.as_fd()).exec();
//! eprintln!("{error}; the old program goes on");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod exec;
mod freeze;
mod image;
mod state;

pub use exec::{ExecInPlace, Image};
pub(crate) use freeze::canary;
pub(crate) use image::remember_start;
pub use image::{image_on_disk, this_image};
pub(crate) use state::{STATE_VARIABLE, resume};
pub use state::{TakenState, take_state};
