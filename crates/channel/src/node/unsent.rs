//! How much of what was written the peer has not read.

use std::os::fd::BorrowedFd;

/// The kernel counts its buffers, each of at least 500 bytes; the last one counts as a single byte while it tells us that it
/// was read.
const NOTHING: i32 = 64;

/// Has the peer read everything? If it cannot be known, yes.
pub(super) fn all_is_read(socket: BorrowedFd<'_>) -> bool {
    unsent_bytes(socket).is_none_or(|unsent| unsent <= NOTHING)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"))]
fn unsent_bytes(socket: BorrowedFd<'_>) -> Option<i32> {
    use rustix::ioctl::{Getter, Opcode, ioctl};

    /// `SIOCOUTQ`, which is `TIOCOUTQ` (Linux, `asm-generic/ioctls.h`).
    const UNSENT_BYTES: Opcode = 0x5411;
    // SAFETY: for a socket this request writes one `int` and reads nothing of ours.
    unsafe { ioctl(socket, Getter::<UNSENT_BYTES, i32>::new()) }.ok()
}

/// The other architectures have numbers of their own.
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "loongarch64"
)))]
fn unsent_bytes(_: BorrowedFd<'_>) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_not_read_is_seen() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        assert!(all_is_read(ours.as_fd()));
        ours.write_all(b"x").unwrap();
        assert!(!all_is_read(ours.as_fd()) || cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))));
        theirs.read_exact(&mut [0]).unwrap();
        assert!(all_is_read(ours.as_fd()));
    }
}
