//! seccomp: the filter of system calls, and whether there can be one.

use std::io;

use libc::{sock_filter, sock_fprog};

use super::calls::{SINCE_5_1, calls, otherwise};
use super::{Sandbox, bpf};

/// Whether a filter can answer with an error. Changes nothing.
pub(super) fn ask() -> io::Result<()> {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the call reads one live number.
    match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) } {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

/// Installs the filter for this thread, which must be the only one and have no new privileges. For good.
pub(super) fn install(level: Sandbox) -> io::Result<()> {
    let mut filter: Vec<sock_filter> = bpf::program(calls(level, std::process::id()), otherwise, SINCE_5_1);
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // Without this flag kernels before 5.16 make the whole process slower, against a leak of what is its own anyway.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program is live, has the length that it says, and is copied by the call.
    match unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(last_error()),
    }
}

/// A kernel that was built without filters does not know the operation.
fn last_error() -> io::Error {
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EINVAL) => io::Error::from_raw_os_error(libc::ENOSYS),
        error => error,
    }
}
