//! Landlock: rights of files, TCP, signals and abstract sockets, taken away from this process for good.
//!
//! At [`Sandbox::Full`] every right that this version of Landlock knows is *handled* and no rule gives one back. At
//! [`Sandbox::NoNetwork`] files stay, but none can be executed; and since a process in a Landlock domain may not look into
//! those outside of it, `/proc/PID/mem` of others is shut.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::Sandbox;

// Numbers of `linux/landlock.h`.
const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;
const FS_EXECUTE: u64 = 1;
const FS_REFER: u64 = 1 << 13;
/// All 13 rights of files of the first version.
const FS_FIRST: u64 = (1 << 13) - 1;
const FS_TRUNCATE: u64 = 1 << 14;
const FS_IOCTL_DEV: u64 = 1 << 15;
const NET_BIND_AND_CONNECT_TCP: u64 = 3;
const SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS: u64 = 3;

// The versions that brought what is above.
const WITH_REFER: u32 = 2;
const WITH_TRUNCATE: u32 = 3;
const WITH_NET: u32 = 4;
const WITH_IOCTL_DEV: u32 = 5;
const WITH_SCOPES: u32 = 6;

/// What is handled: `struct landlock_ruleset_attr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handled {
    files: u64,
    network: u64,
    scopes: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

impl Handled {
    fn at(level: Sandbox, version: u32) -> Handled {
        let since = |first: u32, rights: u64| if version >= first { rights } else { 0 };
        Handled {
            files: match level {
                Sandbox::Full => {
                    FS_FIRST
                        | since(WITH_REFER, FS_REFER)
                        | since(WITH_TRUNCATE, FS_TRUNCATE)
                        | since(WITH_IOCTL_DEV, FS_IOCTL_DEV)
                }
                // Moves between directories are denied where nobody speaks of them; see `allow_moves`.
                _ => FS_EXECUTE | since(WITH_REFER, FS_REFER),
            },
            network: since(WITH_NET, NET_BIND_AND_CONNECT_TCP),
            scopes: since(WITH_SCOPES, SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS),
        }
    }

    /// Bytes that a kernel of this version knows of.
    fn size(version: u32) -> usize {
        match version {
            ..WITH_NET => 8,
            WITH_NET..WITH_SCOPES => 16,
            _ => size_of::<Handled>(),
        }
    }
}

/// The version of the kernel. Changes nothing.
pub(super) fn version() -> io::Result<u32> {
    // SAFETY: with this flag the call takes no attributes, creates nothing and touches no memory of ours.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Handled>(), 0usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).map_err(|_| io::Error::last_os_error())
}

/// Confines this thread, which must be the only one and have no new privileges. The version that is in force.
pub(super) fn restrict(level: Sandbox) -> io::Result<u32> {
    let version = version()?;
    let handled = Handled::at(level, version);
    // SAFETY: the attributes are a live `landlock_ruleset_attr` of at least the size that is told.
    let ruleset =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, Handled::size(version), 0u32) };
    if ruleset < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec, and nobody else knows it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset as i32) };
    if level == Sandbox::NoNetwork && version >= WITH_REFER {
        allow_moves(ruleset.as_fd())?;
    }
    // SAFETY: touches no memory of ours.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) } {
        0 => Ok(version),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Files may be moved and linked from one directory into another, as without Landlock. (Its first version cannot allow it:
/// such a move is an EXDEV there, as between two file systems.)
fn allow_moves(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let rule = PathBeneath { allowed: FS_REFER, parent: root.as_raw_fd() };
    // SAFETY: the rule is a live `landlock_path_beneath_attr` with an open descriptor.
    let added = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const rule, 0u32)
    };
    if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_asked_only_for_what_its_version_knows() {
        let full = |version| Handled::at(Sandbox::Full, version);
        assert_eq!(full(1), Handled { files: 0x1fff, network: 0, scopes: 0 });
        assert_eq!(full(3), Handled { files: 0x7fff, network: 0, scopes: 0 });
        assert_eq!(full(5), Handled { files: 0xffff, network: 3, scopes: 0 });
        assert_eq!(full(99), Handled { files: 0xffff, network: 3, scopes: 3 });
        assert_eq!(Handled::at(Sandbox::NoNetwork, 1).files, FS_EXECUTE);
        assert_eq!([1, 3, 4, 5, 6, 99].map(Handled::size), [8, 8, 16, 16, 24, 24]);
    }
}
