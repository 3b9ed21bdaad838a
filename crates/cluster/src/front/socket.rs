//! [`ControlSocket`]: the listening control socket, as its owner, the primary, holds it.
//!
//! The file has mode 0600 from its first moment: the socket gets its mode before it gets its name. A file that a killed cluster
//! left behind is taken over; one behind which somebody listens is an error.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;

/// Only the owner may connect.
const MODE: Mode = Mode::from_raw_mode(0o600);
/// Clients that wait to be accepted; the front serves 32 at once.
const BACKLOG: i32 = 128;

/// The control socket. Whoever drops it leaves the file where it is, so that a primary can replace itself in place; the
/// end of the cluster calls [`remove`](Self::remove).
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: OwnedFd,
    name: Name,
}

impl ControlSocket {
    /// Listens under this path.
    pub(crate) fn bind(path: &Path) -> Result<ControlSocket, Error> {
        let listener = match bind_at(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => make_room(path).and_then(|()| bind_at(path)),
            other => other,
        };
        listener
            .map(|listener| ControlSocket::adopt(listener, path))
            .map_err(|why| Error::Setting { what: format!("no control socket at {}: {why}", path.display()) })
    }

    /// The socket that an earlier image of this process bound.
    pub(crate) fn adopt(listener: OwnedFd, path: &Path) -> ControlSocket {
        ControlSocket { listener, name: Name::of(path) }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.name.path
    }

    /// Removes the file, if it is still ours.
    pub(crate) fn remove(self) {
        self.name.remove();
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// A path, and which file it named.
#[derive(Debug)]
pub(super) struct Name {
    path: PathBuf,
    /// Device and inode; `None` if there was none.
    file: Option<(u64, u64)>,
}

impl Name {
    pub(super) fn of(path: &Path) -> Name {
        Name { path: path.to_owned(), file: file_at(path) }
    }

    /// Removes the file, unless the path names another one by now.
    pub(super) fn remove(&self) {
        if self.file.is_some() && file_at(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn bind_at(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::fs::fchmod(&socket, MODE)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Removes a socket behind which nobody listens.
fn make_room(path: &Path) -> io::Result<()> {
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::other(
            "there is a file of this name that is no socket; remove it, or choose another name",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("another process listens there; stop it, or choose another name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_owner_may_connect_whatever_the_umask_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        socket.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_cluster_left_is_taken_over_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(ControlSocket::bind(&path).unwrap());
        assert!(path.exists());
        let second = ControlSocket::bind(&path).unwrap();
        let refusal = ControlSocket::bind(&path).unwrap_err().to_string();
        assert!(refusal.contains("another process listens there"), "{refusal}");
        drop(second);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert!(ControlSocket::bind(&path).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn a_name_that_somebody_else_has_taken_is_left_to_him() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let first = ControlSocket::bind(&path).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let _second = ControlSocket::bind(&path).unwrap();
        first.remove();
        UnixStream::connect(&path).unwrap();
    }
}
