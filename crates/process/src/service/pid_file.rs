//! [`PidFile`]: the number of the one process that runs, and the lock that makes it the only one.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// How often a file may be removed under our hands before we give up: its owner removes it once, when it ends.
const MAX_TRIES: usize = 16;

/// Most bytes of a number with its line end.
const MAX_TEXT: u64 = 16;

/// A file that holds the number of this process and is locked by it, so that a second process with the same file is
/// refused. A file that was left behind is taken over: it is locked by nobody.
///
/// The lock belongs to the open file. It survives an [exec in place](crate::upgrade), if the descriptor is
/// [kept](crate::upgrade::ExecInPlace::keep) and [`resume`](PidFile::resume)d; children do not get it. When this is dropped
/// by the process that created it, the file is removed.
///
/// ```
/// use phalanx_process::service::{PidFile, PidFileError};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("server.pid");
/// let ours = PidFile::create(&path)?;
/// let second = PidFile::create(&path);
/// assert!(matches!(second, Err(PidFileError::Held { pid: Some(pid), .. }) if pid == std::process::id()));
/// drop(ours);
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PidFile {
    file: File,
    path: PathBuf,
    owner: u32,
}

/// Why there is no pid file.
#[derive(Debug)]
#[non_exhaustive]
pub enum PidFileError {
    /// Another process has it.
    Held {
        /// The file.
        path: PathBuf,
        /// The number in the file, if there is one.
        pid: Option<u32>,
    },
    /// The system refused: no such directory, no permission, no room on the disk.
    System {
        /// What was attempted: "open", "lock", "write".
        attempt: &'static str,
        /// The file.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
}

impl PidFile {
    /// Creates and locks the file, and writes our number into it. A relative path is made absolute.
    pub fn create(path: impl AsRef<Path>) -> Result<PidFile, PidFileError> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(system("find", given))?;
        for _ in 0..MAX_TRIES {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                // Not through somebody's link to a file of ours.
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(system("open", &path))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(PidFileError::Held { pid: number_in(&file), path }),
                Err(errno) => return Err(system("lock", &path)(errno.into())),
            }
            // Its former owner may have removed it between our opening and our lock.
            if is_at(&file, &path) {
                let pid_file = PidFile { file, path, owner: std::process::id() };
                pid_file.write_number().map_err(system("write", &pid_file.path))?;
                return Ok(pid_file);
            }
        }
        Err(system("lock", &path)(Errno::AGAIN.into()))
    }

    /// The file of the image before this one, whose descriptor was kept. It is locked, and holds our number, still.
    ///
    /// Errors: the file was removed or replaced; then its lock keeps nobody out.
    pub fn resume(path: impl AsRef<Path>, descriptor: OwnedFd) -> Result<PidFile, PidFileError> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(system("find", given))?;
        let file = File::from(descriptor);
        if !is_at(&file, &path) {
            return Err(system("find", &path)(Errno::NOENT.into()));
        }
        Ok(PidFile { file, path, owner: std::process::id() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_number(&self) -> io::Result<()> {
        let number = format!("{}\n", self.owner);
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(number.as_bytes())?;
        // After it, so that nobody ever reads an empty file.
        file.set_len(number.len() as u64)?;
        // A full disk may say so only now.
        file.sync_data()
    }
}

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.owner == std::process::id() && is_at(&self.file, &self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether this open file is the one at this path.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &Metadata, b: &Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), path.symlink_metadata()), (Ok(ours), Ok(there)) if same(&ours, &there))
}

fn number_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn system<'a>(attempt: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> PidFileError + 'a {
    move |source| PidFileError::System { attempt, path: path.to_owned(), source }
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PidFileError::Held { path, pid: Some(pid) } => {
                write!(
                    f,
                    "process {pid} runs already: it holds {}; stop it first, or use another pid file",
                    path.display()
                )
            }
            PidFileError::Held { path, pid: None } => {
                write!(f, "another process holds {}; stop it first, or use another pid file", path.display())
            }
            PidFileError::System { attempt, path, source } => {
                write!(f, "cannot {attempt} the pid file {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for PidFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PidFileError::Held { .. } => None,
            PidFileError::System { source, .. } => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_and_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let ours = PidFile::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        let refused = PidFile::create(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} runs already", std::process::id())), "{refused}");
        // Also through the descriptor that an exec in place keeps.
        let kept = ours.as_fd().try_clone_to_owned().unwrap();
        std::mem::forget(ours);
        let resumed = PidFile::resume(&path, kept).unwrap();
        assert!(matches!(PidFile::create(&path), Err(PidFileError::Held { .. })));
        drop(resumed);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        std::fs::write(&path, "4194304 and a long rest of something else").unwrap();
        let _ours = PidFile::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn only_its_owner_removes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let ours = PidFile::create(&path).unwrap();
        // Somebody removed it, and another process created its own.
        std::fs::remove_file(&path).unwrap();
        let theirs = PidFile::create(&path).unwrap();
        drop(ours);
        assert!(path.exists());
        assert!(PidFile::resume(&path, File::open("/dev/null").unwrap().into()).is_err());
        drop(theirs);
        assert!(!path.exists());
    }

    #[test]
    fn what_the_system_refuses_is_said_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = PidFile::create(folder.path().join("no/such/pid")).unwrap_err().to_string();
        assert!(missing.contains("cannot open the pid file") && missing.contains("no/such/pid"), "{missing}");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
        assert!(PidFile::create(&link).is_err(), "a link was followed");
        // The device that is always full.
        let full = PidFile {
            file: File::options().write(true).open("/dev/full").unwrap(),
            path: "/dev/full".into(),
            owner: 0,
        };
        assert_eq!(full.write_number().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    }
}
