//! Unix sockets of Node programs, and the files that stand for them.
//!
//! As libuv does it, the file goes when the server closes. A program that was killed leaves its file behind, at which Node's
//! next start fails; ours takes such a file over, when a connection shows that nobody listens there.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::open::errno;
use super::query::Query;

/// Longest path of a Unix socket (unix(7): 108 bytes with the zero at its end).
const LONGEST_PATH: usize = 107;

/// A file that we made. Removed when dropped, if it is still the same.
#[derive(Debug)]
pub(super) struct UnixFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl UnixFile {
    /// A file that was made before.
    pub(super) fn known(path: PathBuf, device: u64, inode: u64) -> UnixFile {
        UnixFile { path, device, inode }
    }

    /// Its path, and the numbers of its device and inode.
    pub(super) fn identity(&self) -> (PathBuf, u64, u64) {
        (self.path.clone(), self.device, self.inode)
    }
}

impl Drop for UnixFile {
    fn drop(&mut self) {
        let same = |file: std::fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if std::fs::symlink_metadata(&self.path).is_ok_and(same) {
            let _ = std::fs::remove_file(&self.path); // who may not write the directory leaves a file
        }
    }
}

/// A bound socket.
pub(super) fn bind(query: &Query) -> Result<(Socket, Option<UnixFile>), Errno> {
    let path = query.target.address.as_deref().unwrap_or_default();
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(errno)?;
    if path.starts_with('\0') {
        socket.bind(&SockAddr::unix(path).map_err(errno)?).map_err(errno)?;
        return Ok((socket, None));
    }
    let path = std::path::absolute(path).map_err(errno)?;
    let address = SockAddr::unix(shorter(&path)).map_err(errno)?;
    if let Err(why) = socket.bind(&address).map_err(errno) {
        if why != Errno::ADDRINUSE || !remove_stale(&path, &address) {
            return Err(why);
        }
        socket.bind(&address).map_err(errno)?;
    }
    let file = std::fs::symlink_metadata(&path).map_err(errno)?;
    let made = UnixFile { path: path.clone(), device: file.dev(), inode: file.ino() };
    let more = if query.readable_by_all { 0o444 } else { 0 } | if query.writable_by_all { 0o222 } else { 0 };
    if more != 0 {
        let mode = std::fs::Permissions::from_mode(file.permissions().mode() | more);
        std::fs::set_permissions(&path, mode).map_err(errno)?;
    }
    Ok((socket, Some(made)))
}

/// A path that is too long may be short enough as seen from here.
fn shorter(path: &Path) -> PathBuf {
    if path.as_os_str().len() <= LONGEST_PATH {
        return path.to_owned();
    }
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// Removes the socket of a program that is gone. Whether anybody listens is told by `connect` and by nothing else.
fn remove_stale(path: &Path, address: &SockAddr) -> bool {
    let Ok(before) = std::fs::symlink_metadata(path) else { return true };
    let Ok(client) = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None) else { return false };
    let refused = client.connect(address).is_err_and(|why| why.kind() == std::io::ErrorKind::ConnectionRefused);
    let same = || {
        let after = std::fs::symlink_metadata(path);
        after.is_ok_and(|after| (after.dev(), after.ino()) == (before.dev(), before.ino()))
    };
    before.file_type().is_socket() && refused && same() && std::fs::remove_file(path).is_ok()
}
