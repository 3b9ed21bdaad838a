//! [`Listener`]: the socket of the folder, and who may connect to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::Error;
use crate::embedded::folder::Folder;

/// Clients that may wait to be accepted; the kernel takes no more than its `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The socket on which an owner listens.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

/// What accepting brought.
pub(crate) enum Accepted {
    Client(OwnedFd),
    /// A program of another user.
    Stranger(u32),
    /// It was gone again.
    Gone,
    Nobody,
    /// There are no descriptors or no memory left: later.
    NoRoom(Errno),
}

impl Listener {
    /// Bound to the folder's socket, in the place of what an earlier owner left. It does not listen yet: clients find out at once
    /// that nobody is there.
    pub(crate) fn bind(folder: &Folder) -> Result<Listener, Error> {
        let wrong = |what: &str, error: Errno| Error::Store {
            path: folder.path().to_owned(),
            reason: format!("{what}: {error}; the folder must be writable"),
        };
        folder.remove_socket()?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|error| wrong("no socket can be made", error))?;
        let address =
            SocketAddrUnix::new(folder.socket()).map_err(|error| wrong("the socket has no address", error))?;
        rustix::net::bind(&socket, &address).map_err(|error| wrong("the socket cannot be bound", error))?;
        folder.protect_socket()?;
        Ok(Listener(socket))
    }

    /// From now on clients may come.
    pub(crate) fn listen(&self) -> Result<(), Error> {
        rustix::net::listen(&self.0, BACKLOG)
            .map_err(|error| Error::unavailable("the embedded queue", format_args!("cannot listen: {error}")))
    }

    pub(crate) fn accept(&self) -> Accepted {
        let socket = match rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Accepted::Nobody,
            Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                return Accepted::NoRoom(error);
            }
            Err(_) => return Accepted::Gone,
        };
        match rustix::net::sockopt::socket_peercred(&socket) {
            Ok(peer) if peer.uid == rustix::process::geteuid() || peer.uid.is_root() => Accepted::Client(socket),
            Ok(peer) => Accepted::Stranger(peer.uid.as_raw()),
            Err(_) => Accepted::Gone,
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
