//! Unix sockets that listen, and the files that stand for them.
//!
//! A program that was killed leaves its socket's file behind. Whether somebody listens there is told by `connect` and by
//! nothing else: nobody does if it is refused, and then the file is taken over. Programs of ours that start at once take
//! turns at that, by a lock of the directory.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode};
use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;
use super::address::ListenAddress;
use super::listen::FileAccess;

/// Longest wait for another program that takes over a socket in the same directory.
const TURN_DEADLINE: Duration = Duration::from_secs(1);

/// From one look whether it is our turn to the next.
const TURN_LOOK: Duration = Duration::from_millis(2);

/// The file of a Unix socket that we made. It is removed when this is dropped, if it is still ours then and we are in
/// charge of it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    charge: Charge,
}

/// Who removes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charge {
    Ours,
    /// Of the image before this one, until this one has proven itself.
    Theirs,
}

impl SocketFile {
    fn made_at(path: &Path) -> io::Result<SocketFile> {
        // Whoever removes it may stand in another directory.
        let path = std::path::absolute(path)?;
        let file = std::fs::symlink_metadata(&path)?;
        Ok(SocketFile { device: file.dev(), inode: file.ino(), path, charge: Charge::Ours })
    }

    /// The file of a socket that an earlier image of this process made; `None` if it is not there any more.
    pub(super) fn known(path: &Path, device: u64, inode: u64) -> Option<SocketFile> {
        let file = SocketFile { path: path.to_owned(), device, inode, charge: Charge::Theirs };
        file.is_ours().then_some(file)
    }

    /// The numbers by which it is known: of the device and of the inode.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// It is this image's business from now on.
    pub(super) fn take_charge(&mut self) {
        self.charge = Charge::Ours;
    }

    fn is_ours(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.charge == Charge::Ours && self.is_ours() {
            // Who may not write the directory leaves a file, which the next start takes over.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket that listens on a Unix address, with its file if it has one.
pub(super) fn listen(address: &ListenAddress, access: FileAccess) -> io::Result<(OwnedFd, Option<SocketFile>)> {
    match address {
        ListenAddress::Unix(path) => listen_on_file(path, access).map(|(socket, file)| (socket, Some(file))),
        ListenAddress::Abstract(name) => {
            let socket = new_socket()?;
            socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
            socket.listen(BACKLOG)?;
            Ok((socket.into(), None))
        }
        ListenAddress::Tcp(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no Unix address")),
    }
}

fn new_socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)
}

fn listen_on_file(path: &Path, access: FileAccess) -> io::Result<(OwnedFd, SocketFile)> {
    let _turn = Turn::wait_for(path);
    let address = SockAddr::unix(path)?;
    let socket = new_socket()?;
    // The file gets these bits (less the umask) from the start, so it is never open to more.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(access.mode))?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse || !remove_stale(path)? {
            return Err(error);
        }
        socket.bind(&address)?;
    }
    let file = SocketFile::made_at(path)?;
    if let Some(group) = access.group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// Removes the file of a socket on which nobody listens any more. False if somebody does; an error if the file is
/// something else.
pub(super) fn remove_stale(path: &Path) -> io::Result<bool> {
    let before = match std::fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if !before.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of another kind at this path"));
    }
    match new_socket()?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        // Connected; or its queue is full, which takes a listener.
        _ => return Ok(false),
    }
    let after = std::fs::symlink_metadata(path);
    if after.is_ok_and(|after| (after.dev(), after.ino()) == (before.dev(), before.ino())) {
        std::fs::remove_file(path)?;
    }
    Ok(true)
}

/// The right to make and remove sockets in a directory, among programs that ask for it.
struct Turn {
    _directory: Option<OwnedFd>,
}

impl Turn {
    /// A directory that cannot be locked, or is locked by somebody for long, is used all the same.
    fn wait_for(path: &Path) -> Turn {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Ok(directory) = std::fs::File::open(directory).map(OwnedFd::from) else { return Turn { _directory: None } };
        let deadline = Instant::now() + TURN_DEADLINE;
        while rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err()
            && Instant::now() < deadline
        {
            std::thread::sleep(TURN_LOOK);
        }
        Turn { _directory: Some(directory) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    const ACCESS: FileAccess = FileAccess { mode: 0o660, group: None };

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_socket_has_its_mode_and_is_removed_by_its_owner() {
        let directory = directory();
        let path = directory.path().join("app.sock");
        for mode in [0o660, 0o600, 0o666] {
            let (_socket, file) = listen_on_file(&path, FileAccess { mode, group: None }).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            UnixStream::connect(&path).unwrap();
            drop(file);
            assert!(!path.exists());
        }
    }

    #[test]
    fn the_file_of_a_dead_program_is_taken_over_and_that_of_a_live_one_is_not() {
        let directory = directory();
        let path = directory.path().join("app.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file");
        let (socket, file) = listen_on_file(&path, ACCESS).unwrap();
        assert_eq!(listen_on_file(&path, ACCESS).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop((socket, file));
    }

    #[test]
    fn a_file_that_is_not_ours_any_more_stays() {
        let directory = directory();
        let path = directory.path().join("app.sock");
        let (_socket, file) = listen_on_file(&path, ACCESS).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(file);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = directory();
        let path = directory.path().join("app.sock");
        std::fs::write(&path, "text").unwrap();
        let error = listen_on_file(&path, ACCESS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
    }

    #[test]
    fn an_abstract_socket_is_free_when_its_holder_is_gone() {
        let address = ListenAddress::Abstract(format!("phalanx-test-{}", std::process::id()));
        let (socket, file) = listen(&address, ACCESS).unwrap();
        assert!(file.is_none());
        assert_eq!(ListenAddress::of(&socket).unwrap(), address);
        assert_eq!(listen(&address, ACCESS).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        listen(&address, ACCESS).unwrap();
    }
}
