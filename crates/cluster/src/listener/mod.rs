//! The listening sockets: opened and kept by the primary, inherited by the workers.
//!
//! ```text
//!   Listen (text, options) ─► Wanted ─► Door: an address, with its socket, or with one a place
//!                                        │
//!              shared, reuseport ◄───────┴───────► round-robin, least-loaded, sticky
//!         workers inherit and accept                 a dispatcher accepts
//! ```
//!
//! Because the primary keeps them, nothing that waits in the kernel's backlog is lost when workers die. `O_NONBLOCK`
//! and the socket options belong to the shared file description: they are set once, here, and never changed. A socket of a
//! `SO_REUSEPORT` group is never closed while the cluster serves: the hash of the others would change, and the
//! connections that are being opened at that moment would be lost; the socket of a place without a worker is lent to
//! another worker instead.

mod address;
mod borrowed;
mod door;
mod given;
mod listen;
mod loans;
mod socket;
mod tcp;
mod unix;

pub use address::ListenAddress;
pub(crate) use borrowed::Borrowed;
pub(crate) use door::Kept;
pub use listen::{Distribution, Listen};
pub(crate) use loans::{LoanWord, Loans};
pub(crate) use socket::Origin;
pub use socket::{ListenSocket, Listener};

use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::{Error, Place};
use door::{Door, Opening};
use given::GivenSockets;
use listen::What;
use tcp::{Families, Sharing};

/// Most connections that wait in the kernel for `accept`; the kernel lowers it to `net.core.somaxconn` (4096).
const BACKLOG: i32 = 4096;

/// The listening sockets of a cluster, or what it takes to open them again.
#[derive(Debug)]
pub(crate) struct Listeners {
    doors: Vec<Door>,
    /// Of the image before this one, and not asked for any more.
    unwanted: Vec<Door>,
}

impl Listeners {
    /// Opens all that was asked for; for [`Distribution::ReusePort`] with sockets for this many places from the start, so
    /// that the kernel's choice does not change while connections come in.
    ///
    /// What an earlier image of this process kept is used instead of being opened, if it is still asked for.
    pub(crate) fn open(
        asked: &[Listen],
        default: Distribution,
        places: usize,
        kept: Vec<(Kept, OwnedFd)>,
    ) -> Result<Listeners, Error> {
        let wanted = asked.iter().map(|listen| listen.resolve(default)).collect::<Result<Vec<_>, Error>>()?;
        let all: Vec<SocketAddr> = wanted
            .iter()
            .flat_map(|wanted| match &wanted.what {
                What::Tcp(addresses) => addresses.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        let mut given = GivenSockets::take(&wanted)?;
        let mut inherited = Door::inherited(kept);
        let mut doors = Vec::new();
        for wanted in &wanted {
            let known: Vec<Door> = inherited.extract_if(.., |door| door.is_of(wanted)).collect();
            if !known.is_empty() {
                doors.extend(known);
                continue;
            }
            match &wanted.what {
                What::Tcp(addresses) => {
                    let sharing = match wanted.distribution {
                        Distribution::ReusePort => Sharing::ReusePort,
                        _ => Sharing::Alone,
                    };
                    let families = |address| Families::of(address, &all);
                    let sockets = tcp::listen_on_all(addresses, families, sharing)
                        .map_err(|(address, source)| Error::Listen { address: address.into(), source })?;
                    for socket in sockets {
                        let address = address_of(&socket)?;
                        let opening = Opening::Tcp(address.tcp().map_or(Families::Both, families));
                        doors.push(Door::new(wanted, address, wanted.distribution, opening, socket, None));
                    }
                }
                What::Unix(address, access) => {
                    let (socket, file) = unix::listen(address, *access)
                        .map_err(|source| Error::Listen { address: address.clone(), source })?;
                    let opening = Opening::Unix(*access);
                    doors.push(Door::new(wanted, address.clone(), unsplit(wanted.distribution), opening, socket, file));
                }
                What::Given(given_by) => {
                    for socket in given.find(given_by, &wanted.text)? {
                        let (address, distribution) = (address_of(&socket)?, unsplit(wanted.distribution));
                        doors.push(Door::new(wanted, address, distribution, Opening::Given, socket, None));
                    }
                }
            }
        }
        for door in &mut doors {
            door.open_for(places)?;
        }
        Ok(Listeners { doors, unwanted: inherited })
    }

    /// This image goes on where the one before stopped: what it left is ours to close and to remove.
    pub(crate) fn take_charge(&mut self) {
        self.doors.iter_mut().chain(&mut self.unwanted).for_each(Door::take_charge);
        self.unwanted.clear();
    }

    /// Opens again what [`close`](Self::close) closed, at the same addresses.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        self.doors.iter_mut().try_for_each(Door::reopen)
    }

    /// Whether nothing is closed.
    pub(crate) fn are_open(&self) -> bool {
        self.doors.iter().all(Door::is_open)
    }

    /// Closes the primary's sockets. Those of live workers stay open, and so do those that were given to us: somebody else
    /// decides about them.
    pub(crate) fn close(&mut self) {
        self.doors.iter_mut().for_each(Door::close);
    }

    /// The addresses, with the ports that are really used.
    pub(crate) fn addresses(&self) -> Vec<ListenAddress> {
        self.doors.iter().map(|door| door.address.clone()).collect()
    }

    /// Sees to it that there is a socket for this place at each open address.
    pub(crate) fn open_for(&mut self, place: Place) -> Result<(), Error> {
        self.doors.iter_mut().try_for_each(|door| door.open_for(usize::from(place.0) + 1))
    }

    /// The sockets that the worker of this place inherits, in order.
    pub(crate) fn of_place(&self, place: Place) -> impl Iterator<Item = (BorrowedFd<'_>, Origin)> {
        self.doors.iter().filter_map(move |door| Some((door.socket_of(place)?, door.origin())))
    }

    /// The sockets from which a dispatcher accepts.
    pub(crate) fn dispatched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Distribution, Origin)> {
        self.dispatched_doors().filter_map(|door| Some((door.shared_socket()?, door.distribution, door.origin())))
    }

    /// Where a dispatcher accepts.
    pub(crate) fn dispatched_addresses(&self) -> Vec<ListenAddress> {
        self.dispatched_doors().map(|door| door.address.clone()).collect()
    }

    fn dispatched_doors(&self) -> impl Iterator<Item = &Door> {
        self.doors.iter().filter(|door| door.distribution.is_dispatched())
    }

    /// Number of places that have sockets of their own.
    pub(crate) fn places(&self) -> usize {
        self.doors.iter().map(Door::places).max().unwrap_or(0)
    }

    /// The sockets that only the workers of this place have.
    pub(crate) fn own_of_place(&self, place: Place) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.doors.iter().filter(|door| door.places() > 0).filter_map(move |door| door.socket_of(place))
    }

    /// The sockets to keep over an exec of this process, with what the next image has to know of them.
    pub(crate) fn keep(&self) -> Vec<(Kept, BorrowedFd<'_>)> {
        self.doors.iter().flat_map(Door::keep).collect()
    }
}

/// What cannot have several sockets at one address has one.
fn unsplit(distribution: Distribution) -> Distribution {
    match distribution {
        Distribution::ReusePort => Distribution::Shared,
        other => other,
    }
}

fn address_of(socket: &OwnedFd) -> Result<ListenAddress, Error> {
    ListenAddress::of(socket).map_err(Error::system("read the address of a listener"))
}

#[cfg(test)]
mod tests;
