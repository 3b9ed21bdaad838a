//! [`Folder`]: the place of an embedded queue on disk, as owner and clients see it.
//!
//! ```text
//!   FOLDER/            0700
//!     lock             who holds it (flock) is the owner; its process id stands inside
//!     socket           0600, where the owner listens
//!     queue.db …       the store: the owner's alone
//!     owner.log        what an owner that was started on demand has to say
//! ```
//!
//! A lock on the folder itself is held for the moment in which a client starts an owner, so that twenty who come at once start one.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::Error;

const LOCK: &str = "lock";
const SOCKET: &str = "socket";
const LOG: &str = "owner.log";
/// A log that is longer when an owner starts begins anew: 1 MiB.
const LOG_LIMIT: u64 = 1 << 20;

/// File systems on which a lock or a memory map does not mean what it means on a local one, by the numbers of statfs(2).
const ON_THE_NETWORK: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
];

/// The folder of a queue, open, so that a path of any length will do and a folder that is renamed stays the same.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
    /// Whose it is: user and group.
    pub(crate) belongs_to: (u32, u32),
}

/// The right to be the owner. Free for others as soon as this process has ended, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code)] OwnedFd); // Held open.

impl Folder {
    /// Opens it; it is made if it is not there. Refuses what a queue cannot live in.
    pub(crate) fn open(path: &Path) -> Result<Folder, Error> {
        let path = std::path::absolute(path).map_err(|error| wrong(path, format!("has no absolute path: {error}")))?;
        // Only what is missing is made.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| wrong(&path, format!("the folder cannot be made: {error}")))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        let descriptor = opened.map_err(|error| wrong(&path, format!("the folder cannot be opened: {error}")))?;
        let folder = Folder { belongs_to: (0, 0), path, descriptor };
        folder.checked()
    }

    fn checked(mut self) -> Result<Folder, Error> {
        let fail = |what: &str, error: Errno| wrong(&self.path, format!("{what}: {error}"));
        let kind = rustix::fs::fstatfs(&self.descriptor).map_err(|error| fail("its file system is unknown", error))?;
        // The numbers have 32 bits; the field has as many as the architecture.
        let magic = kind.f_type as u32;
        if let Some((_, name)) = ON_THE_NETWORK.iter().find(|(number, _)| *number == magic) {
            let why = format!("it is on {name}, and an embedded queue needs a disk of its own machine; use PostgreSQL");
            return Err(wrong(&self.path, why));
        }
        let facts = rustix::fs::fstat(&self.descriptor).map_err(|error| fail("it cannot be looked at", error))?;
        let own = rustix::process::geteuid();
        if facts.st_uid != own.as_raw() && !own.is_root() {
            let why = format!("the folder belongs to user {}, and this program runs as {}", facts.st_uid, own.as_raw());
            return Err(wrong(&self.path, why));
        }
        if facts.st_mode & 0o002 != 0 {
            return Err(wrong(
                &self.path,
                "everybody may write into the folder; chmod o-w it, or use another".to_owned(),
            ));
        }
        self.belongs_to = (facts.st_uid, facts.st_gid);
        Ok(self)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A path of the socket that is short enough for a socket's address.
    pub(crate) fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", self.descriptor.as_raw_fd()))
    }

    /// Removes the socket, if there is one. Only who holds the [`Lock`] may.
    pub(crate) fn remove_socket(&self) -> Result<(), Error> {
        match rustix::fs::unlinkat(&self.descriptor, SOCKET, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.wrong(format!("the socket of an earlier owner cannot be removed: {error}"))),
        }
    }

    /// Only for its user.
    pub(crate) fn protect_socket(&self) -> Result<(), Error> {
        rustix::fs::chmodat(&self.descriptor, SOCKET, Mode::from_raw_mode(0o600), AtFlags::empty())
            .map_err(|error| self.wrong(format!("the mode of the socket cannot be set: {error}")))
    }

    /// Takes the lock; `None` if another owner has it.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let lock = match rustix::fs::openat(&self.descriptor, LOCK, flags, Mode::from_raw_mode(0o600)) {
            Ok(lock) => lock,
            Err(Errno::LOOP) => return Err(self.wrong("\"lock\" is a symbolic link; remove it".to_owned())),
            Err(error) => return Err(self.wrong(format!("the file \"lock\" cannot be opened: {error}"))),
        };
        let file = File::from(lock);
        let facts = file.metadata().map_err(|error| self.wrong(format!("\"lock\" cannot be looked at: {error}")))?;
        if !facts.is_file() || facts.uid() != rustix::process::geteuid().as_raw() {
            return Err(self.wrong("\"lock\" is no file of this user; remove it".to_owned()));
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(self.wrong(format!("the file \"lock\" cannot be locked: {error}"))),
        }
        // For people, and for messages about an owner that does not answer. Always of the same length, so that nobody ever reads
        // half of it. A full disk is told by the store.
        let _ = file.write_all_at(format!("{:<10}\n", std::process::id()).as_bytes(), 0);
        Ok(Some(Lock(file.into())))
    }

    /// The process id of the owner, as it wrote it down.
    pub(crate) fn owner(&self) -> Option<u32> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::openat(&self.descriptor, LOCK, flags, Mode::empty()).ok()?;
        let mut text = String::new();
        File::from(file).take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }

    /// Whether we are the one who starts an owner; true until the folder is dropped or [`started`](Folder::started) is said.
    pub(crate) fn may_start(&self) -> bool {
        rustix::fs::flock(&self.descriptor, FlockOperation::NonBlockingLockExclusive).is_ok()
    }

    /// Whoever wants to may start an owner.
    pub(crate) fn started(&self) {
        let _ = rustix::fs::flock(&self.descriptor, FlockOperation::Unlock);
    }

    /// Where an owner that is started on demand writes. `None` where nothing can be written: then it says nothing.
    pub(crate) fn log(&self) -> Option<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let log = rustix::fs::openat(&self.descriptor, LOG, flags, Mode::from_raw_mode(0o600)).ok()?;
        if rustix::fs::fstat(&log).is_ok_and(|facts| u64::try_from(facts.st_size).unwrap_or(0) > LOG_LIMIT) {
            let _ = rustix::fs::ftruncate(&log, 0);
        }
        let (user, group) = self.belongs_to;
        if rustix::process::geteuid().is_root() && user != 0 {
            use rustix::fs::{Gid, Uid};
            let _ = rustix::fs::fchown(&log, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        }
        Some(log)
    }

    fn wrong(&self, reason: String) -> Error {
        wrong(&self.path, reason)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn wrong(path: &Path, reason: String) -> Error {
    Error::Store { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_user_only_and_has_one_owner_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let lock = folder.lock().unwrap().expect("it is free");
        assert_eq!(folder.owner(), Some(std::process::id()));
        let other = Folder::open(&path).unwrap();
        assert!(other.lock().unwrap().is_none());
        drop(lock);
        assert!(other.lock().unwrap().is_some());
    }

    #[test]
    fn one_of_many_starts_an_owner() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (Folder::open(place.path()).unwrap(), Folder::open(place.path()).unwrap());
        assert!(one.may_start() && !other.may_start());
        one.started();
        assert!(other.may_start() && !one.may_start());
        drop(other);
        assert!(one.may_start());
    }

    #[test]
    fn a_folder_of_everybody_and_a_lock_that_leads_elsewhere_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("open");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let refused = Folder::open(&path).unwrap_err().to_string();
        assert!(refused.contains("chmod o-w"), "{refused}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", path.join("lock")).unwrap();
        let refused = Folder::open(&path).unwrap().lock().unwrap_err().to_string();
        assert!(refused.contains("symbolic link"), "{refused}");
        let refused = Folder::open(&path.join("lock")).unwrap_err().to_string();
        assert!(refused.contains("cannot be made"), "{refused}");
    }
}
