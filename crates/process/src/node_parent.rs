//! A Node.js parent: its end of the channel, taken out of the environment as Node's own children do it.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use phalanx_channel::node::Serialization;

use crate::Error;

/// The descriptor of the channel, in decimal.
pub(crate) const CHANNEL_VARIABLE: &str = "NODE_CHANNEL_FD";
/// `json` or `advanced`; json if it is missing.
pub(crate) const SERIALIZATION_VARIABLE: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// The end that came from a Node parent, until it is taken.
static WAITING: Mutex<Option<(OwnedFd, Serialization)>> = Mutex::new(None);

/// Takes the channel out of the environment, so that our own children do not believe it to be theirs.
///
/// # Safety
///
/// No other thread may exist that could read the environment, and nothing in this process may own the descriptor yet.
pub(crate) unsafe fn take_from_environment() -> Result<(), Error> {
    let (channel, serialization) = (std::env::var(CHANNEL_VARIABLE), std::env::var(SERIALIZATION_VARIABLE));
    let Ok(channel) = channel else { return Ok(()) };
    for name in [CHANNEL_VARIABLE, SERIALIZATION_VARIABLE] {
        // SAFETY: the caller vouches for the environment.
        unsafe { std::env::remove_var(name) };
    }
    let bad = |why: String| Error::BadRole { why };
    let number: RawFd = channel
        .parse()
        .ok()
        .filter(|number| *number >= 0)
        .ok_or_else(|| bad(format!("{CHANNEL_VARIABLE} is \"{channel}\", which is no descriptor")))?;
    let serialization = match serialization {
        Ok(name) => Serialization::from_name(&name)
            .ok_or_else(|| bad(format!("{SERIALIZATION_VARIABLE} is \"{name}\", expected json or advanced")))?,
        Err(_) => Serialization::Json,
    };
    // SAFETY: only asks for the flags of a number; a closed one gives EBADF.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(bad(format!("{CHANNEL_VARIABLE} is {number}, which is not open")));
    }
    // SAFETY: it is open, was placed there for us by the parent, and the caller vouches that nothing owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)
        .map_err(|source| Error::system("make the channel to Node close-on-exec", source))?;
    *WAITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some((socket, serialization));
    Ok(())
}

/// The end, once.
pub(crate) fn take() -> Option<(OwnedFd, Serialization)> {
    WAITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
}
