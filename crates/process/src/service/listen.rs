//! [`listen_fds`]: sockets that a service manager opened for us (socket activation).

use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::descriptors::Descriptors;
use crate::init::take_variable;

const PID_VARIABLE: &str = "LISTEN_PID";
const COUNT_VARIABLE: &str = "LISTEN_FDS";
const NAMES_VARIABLE: &str = "LISTEN_FDNAMES";

/// Where the descriptors begin, by the protocol.
const FIRST: RawFd = 3;

/// More than any limit of open files allows.
const MAX_COUNT: RawFd = 1 << 20;

/// What the protocol calls a socket that nobody named.
const UNNAMED: &str = "unknown";

/// What came, until it is taken.
static WAITING: Mutex<Option<Result<Descriptors, String>>> = Mutex::new(None);

/// The sockets that a service manager passed to this process by `LISTEN_FDS`, with their names (`FileDescriptorName=`;
/// `unknown` if it has none), in order. They are close-on-exec. Once; empty if there are none, or they were meant for
/// another process.
///
/// [`init`](crate::init) has taken them and removed the variables. Descriptors that were
/// [stored](super::Notify::store) with the manager come back here after a restart.
///
/// Errors: the variables make no sense.
pub fn listen_fds() -> Result<Vec<(String, OwnedFd)>, Error> {
    match WAITING.lock().unwrap_or_else(PoisonError::into_inner).take() {
        None => Ok(Vec::new()),
        Some(Ok(mut descriptors)) => Ok(descriptors.take_rest()),
        Some(Err(why)) => Err(Error::BadHandOver { variable: COUNT_VARIABLE, why }),
    }
}

/// Takes the sockets, so that our own children do not believe them to be theirs.
///
/// # Safety
///
/// Only in `init`, of a process without a role: no other thread may exist, and nothing may own a descriptor yet.
pub(crate) unsafe fn take_from_environment() {
    let variables = [PID_VARIABLE, COUNT_VARIABLE, NAMES_VARIABLE].map(|name| {
        // SAFETY: the caller vouches for the environment.
        unsafe { take_variable(name) }.map(|value| value.to_string_lossy().into_owned())
    });
    let [Some(pid), Some(count), names] = variables else { return };
    if pid.parse() != Ok(std::process::id()) {
        return;
    }
    let named = named(&count, names.as_deref()).and_then(|named| {
        // SAFETY: the manager placed them there for us, and the caller vouches that nothing owns one.
        unsafe { Descriptors::own(named) }
    });
    *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = Some(named);
}

fn named(count: &str, names: Option<&str>) -> Result<Vec<(String, RawFd)>, String> {
    let count: RawFd = count
        .parse()
        .ok()
        .filter(|count| (0..MAX_COUNT).contains(count))
        .ok_or_else(|| format!("\"{count}\" is no number of descriptors"))?;
    let mut names = names.map(|names| names.split(':'));
    let name =
        |_| names.as_mut().and_then(Iterator::next).filter(|name| !name.is_empty()).unwrap_or(UNNAMED).to_owned();
    let names: Vec<String> = (0..count).map(name).collect();
    Ok(names.into_iter().zip(FIRST..).collect())
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn descriptors_have_their_names_or_are_unknown() {
        let of = |count, names| named(count, names).unwrap();
        assert_eq!(of("2", Some("web:admin")), [("web".to_owned(), 3), ("admin".to_owned(), 4)]);
        assert_eq!(of("2", Some("web")), [("web".to_owned(), 3), ("unknown".to_owned(), 4)]);
        assert_eq!(of("2", Some(":b")), [("unknown".to_owned(), 3), ("b".to_owned(), 4)]);
        assert_eq!(of("1", None), [("unknown".to_owned(), 3)]);
        assert_eq!(of("0", None), []);
        for bad in ["", "x", "-1", "99999999999"] {
            assert!(named(bad, None).is_err(), "{bad:?} was accepted");
        }
    }
}
