//! [`Listener`]: a listening socket, as a worker has it.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use serde::{Deserialize, Serialize};

use super::ListenAddress;

/// Who opened a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    /// This cluster: it shuts it down at its end.
    Ours,
    /// Somebody else, who goes on using it: systemd, or another parent.
    Given,
}

/// A listening socket of a worker. It is non-blocking; leave that so: the flag belongs to all processes at once.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    socket: ListenSocket,
    origin: Origin,
}

/// The socket of a [`Listener`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenSocket {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    pub(crate) fn new(socket: OwnedFd, origin: Origin) -> io::Result<Listener> {
        let address = ListenAddress::of(&socket)?;
        let socket = match address {
            ListenAddress::Tcp(_) => ListenSocket::Tcp(socket.into()),
            ListenAddress::Unix(_) | ListenAddress::Abstract(_) => ListenSocket::Unix(socket.into()),
        };
        Ok(Listener { address, socket, origin })
    }

    /// Where it listens.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The socket, to accept from, or to hand to a program that this worker starts
    /// ([`Command::listen_fds`](phalanx_process::Command::listen_fds)).
    pub fn socket(&self) -> &ListenSocket {
        &self.socket
    }

    /// The socket, if it is one of TCP.
    pub fn tcp(&self) -> Option<&TcpListener> {
        match &self.socket {
            ListenSocket::Tcp(socket) => Some(socket),
            ListenSocket::Unix(_) => None,
        }
    }

    /// The socket, if it is a Unix socket.
    pub fn unix(&self) -> Option<&UnixListener> {
        match &self.socket {
            ListenSocket::Unix(socket) => Some(socket),
            ListenSocket::Tcp(_) => None,
        }
    }

    /// When the whole cluster ends: shuts the socket for all its holders, so that a stopped one does not keep the port, and
    /// removes the file of a Unix socket. Leaves alone what was given to us.
    pub(crate) fn shut(&self) {
        if self.origin == Origin::Given {
            return;
        }
        let _ = rustix::net::shutdown(self, rustix::net::Shutdown::Both);
        if let ListenAddress::Unix(path) = &self.address {
            // The primary has removed it, unless it was killed. Nobody listens there now, or somebody new.
            let _ = super::unix::remove_stale(path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListenSocket::Tcp(socket) => socket.as_fd(),
            ListenSocket::Unix(socket) => socket.as_fd(),
        }
    }
}
