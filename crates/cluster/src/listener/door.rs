//! [`Door`]: one address on which a cluster listens, with its sockets while it is open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::listen::{FileAccess, Wanted, What};
use super::tcp::{self, Families, Sharing};
use super::unix::{self, SocketFile};
use super::{Distribution, ListenAddress, Origin};
use crate::{Error, Place};

#[derive(Debug)]
pub(super) struct Door {
    /// As somebody asked for it.
    text: String,
    pub(super) address: ListenAddress,
    pub(super) distribution: Distribution,
    opening: Opening,
    /// None while it is closed; one a place with [`Distribution::ReusePort`], else one.
    sockets: Vec<OwnedFd>,
    file: Option<SocketFile>,
}

/// How a door is opened again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opening {
    Tcp(Families),
    Unix(FileAccess),
    /// Not by us, so it is never closed.
    Given,
}

/// What the next image of the primary has to know of a socket that it inherits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    text: String,
    address: ListenAddress,
    distribution: Distribution,
    origin: KeptOrigin,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum KeptOrigin {
    Tcp { only_v6: bool },
    Unix { mode: u32, group: Option<u32>, device: u64, inode: u64 },
    Given,
}

impl Door {
    pub(super) fn new(
        wanted: &Wanted,
        address: ListenAddress,
        distribution: Distribution,
        opening: Opening,
        socket: OwnedFd,
        file: Option<SocketFile>,
    ) -> Door {
        Door { text: wanted.text.clone(), address, distribution, opening, sockets: vec![socket], file }
    }

    pub(super) fn origin(&self) -> Origin {
        match self.opening {
            Opening::Given => Origin::Given,
            Opening::Tcp(_) | Opening::Unix(_) => Origin::Ours,
        }
    }

    /// The socket from which the worker of a place accepts; `None` if a dispatcher does, or the door is closed.
    pub(super) fn socket_of(&self, place: Place) -> Option<BorrowedFd<'_>> {
        let index = match self.distribution {
            Distribution::ReusePort => usize::from(place.0),
            _ if self.distribution.is_dispatched() => return None,
            _ => 0,
        };
        self.sockets.get(index).map(AsFd::as_fd)
    }

    /// The socket that is not divided among places, if it is open.
    pub(super) fn shared_socket(&self) -> Option<BorrowedFd<'_>> {
        self.sockets.first().map(AsFd::as_fd)
    }

    /// Number of places that have a socket of their own.
    pub(super) fn places(&self) -> usize {
        match self.distribution {
            Distribution::ReusePort => self.sockets.len(),
            _ => 0,
        }
    }

    /// Opens further sockets, until there are as many as this many places need.
    pub(super) fn open_for(&mut self, places: usize) -> Result<(), Error> {
        let (Distribution::ReusePort, Opening::Tcp(families), Some(address)) =
            (self.distribution, self.opening, self.address.tcp())
        else {
            return Ok(());
        };
        while !self.sockets.is_empty() && self.sockets.len() < places {
            let socket =
                tcp::listen_beside(address, families, Sharing::ReusePort).map_err(|source| self.failed(source))?;
            self.sockets.push(socket);
        }
        Ok(())
    }

    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        if !self.sockets.is_empty() {
            return Ok(());
        }
        let (socket, file) = match (self.opening, self.address.tcp()) {
            (Opening::Tcp(families), Some(address)) => {
                let sharing = match self.distribution {
                    Distribution::ReusePort => Sharing::ReusePort,
                    _ => Sharing::Alone,
                };
                (tcp::listen(address, families, sharing).map_err(|source| self.failed(source))?, None)
            }
            (Opening::Unix(access), _) => unix::listen(&self.address, access).map_err(|source| self.failed(source))?,
            // It is never closed.
            (Opening::Given | Opening::Tcp(_), _) => return Ok(()),
        };
        self.sockets.push(socket);
        self.file = file;
        Ok(())
    }

    pub(super) fn take_charge(&mut self) {
        if let Some(file) = &mut self.file {
            file.take_charge();
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sockets.is_empty()
    }

    pub(super) fn close(&mut self) {
        if self.origin() == Origin::Ours {
            // The file first: who finds it can still connect.
            self.file = None;
            self.sockets.clear();
        }
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Listen { address: self.address.clone(), source }
    }

    /// Whether this door is one of those that `wanted` asks for.
    pub(super) fn is_of(&self, wanted: &Wanted) -> bool {
        self.text == wanted.text
            || match &wanted.what {
                What::Tcp(addresses) => self.address.tcp().is_some_and(|its| addresses.contains(&its)),
                What::Unix(address, _) => self.address == *address,
                What::Given(_) => false,
            }
    }

    pub(super) fn keep(&self) -> impl Iterator<Item = (Kept, BorrowedFd<'_>)> {
        let origin = match (self.opening, &self.file) {
            (Opening::Tcp(families), _) => KeptOrigin::Tcp { only_v6: families == Families::OnlyV6 },
            (Opening::Unix(FileAccess { mode, group }), file) => {
                let (device, inode) = file.as_ref().map_or((0, 0), SocketFile::identity);
                KeptOrigin::Unix { mode, group, device, inode }
            }
            (Opening::Given, _) => KeptOrigin::Given,
        };
        let kept =
            Kept { text: self.text.clone(), address: self.address.clone(), distribution: self.distribution, origin };
        self.sockets.iter().map(move |socket| (kept.clone(), socket.as_fd()))
    }

    /// The doors of an earlier image of this process. The sockets of a place each come in the order of the places.
    pub(super) fn inherited(kept: Vec<(Kept, OwnedFd)>) -> Vec<Door> {
        let mut doors: Vec<Door> = Vec::new();
        for (Kept { text, address, distribution, origin }, socket) in kept {
            if let Some(door) = doors.iter_mut().find(|door| door.address == address && door.text == text) {
                door.sockets.push(socket);
                continue;
            }
            let (opening, file) = match (origin, &address) {
                (KeptOrigin::Tcp { only_v6: true }, _) => (Opening::Tcp(Families::OnlyV6), None),
                (KeptOrigin::Tcp { only_v6: false }, _) => (Opening::Tcp(Families::Both), None),
                (KeptOrigin::Unix { mode, group, device, inode }, ListenAddress::Unix(path)) => {
                    (Opening::Unix(FileAccess { mode, group }), known_file(path, device, inode))
                }
                (KeptOrigin::Unix { mode, group, .. }, _) => (Opening::Unix(FileAccess { mode, group }), None),
                (KeptOrigin::Given, _) => (Opening::Given, None),
            };
            doors.push(Door { text, address, distribution, opening, sockets: vec![socket], file });
        }
        doors
    }
}

fn known_file(path: &Path, device: u64, inode: u64) -> Option<SocketFile> {
    std::path::absolute(path).ok().and_then(|path| SocketFile::known(&path, device, inode))
}
