//! Files, standard input and output, FIFOs, devices: ends that block their thread.
//!
//! ```text
//!   regular target     a nameless file in its folder ─ at the end ─► linked and renamed over the target
//!                      (without O_TMPFILE: a temporary name from the start, removed on every way out but kill -9)
//!   anything else      a FIFO, device, terminal, socket: written directly, never renamed over
//! ```
//!
//! A wait for a pipe, FIFO, terminal or socket can be [interrupted](crate::Interrupt), so that a pipeline that failed, or
//! was given up, never hangs on an end where nothing comes or goes.
//!
//! Errors: what the system said as [`std::io::Error`], or [`FileError`] for what was refused before anything was done.

mod error;
mod identity;
mod interrupt;
mod options;
mod output;
mod resolve;
mod sink;
mod source;
mod waiting;

pub use error::FileError;
pub(crate) use identity::{Identity, refuse_same};
pub use interrupt::Interrupt;
pub use options::{Durability, FileTarget};
