//! What a service manager and its service say to each other: sockets in, notices out, and the file with the process id.
//!
//! ```text
//!   systemd ── LISTEN_FDS ────────► init() ─► listen_fds(): the sockets of the .socket unit, by name
//!           ◄─ NOTIFY_SOCKET ────── Notify: ready, reloading, stopping, status, watchdog, descriptors to keep
//!           ── WATCHDOG_USEC ─────► watchdog_interval(): how often to say that we live
//! ```
//!
//! All of it is optional: without a service manager there are no sockets and nobody to notify.

mod listen;
mod notify;
mod pid_file;

pub use listen::listen_fds;
pub(crate) use listen::take_from_environment;
pub use notify::{Notify, watchdog_interval};
pub use pid_file::{PidFile, PidFileError};
