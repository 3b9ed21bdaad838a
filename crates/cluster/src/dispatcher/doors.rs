//! The sockets from which a dispatcher accepts, and what its `epoll` tells apart.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::listener::Listener;
use crate::{Distribution, Place, WorkerId};

/// What an epoll event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Primary,
    Door(u32),
    Desk(WorkerId),
}

impl Source {
    pub(super) fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Source::Primary => 0,
            Source::Door(number) => 1 | u64::from(number) << 2,
            Source::Desk(worker) => 2 | u64::from(worker.get()) << 2,
        })
    }

    pub(super) fn of(data: u64) -> Source {
        let number = (data >> 2) as u32;
        match data & 3 {
            0 => Source::Primary,
            1 => Source::Door(number),
            _ => Source::Desk(WorkerId::new(number)),
        }
    }
}

/// A listening socket from which we accept.
pub(super) struct Door {
    pub(super) number: u32,
    pub(super) listener: Listener,
    pub(super) distribution: Distribution,
    /// The place that got the last connection.
    pub(super) last: Option<Place>,
    /// Whether a connection may wait in it.
    pub(super) ready: bool,
}

/// Accepts a connection, and says from which address it comes; none on a Unix socket.
pub(super) fn accept(listener: &Listener) -> Result<(OwnedFd, Option<IpAddr>), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = address.and_then(|address| SocketAddr::try_from(address).ok()).map(|address| address.ip());
    Ok((socket, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_epoll_reports_is_what_was_watched() {
        for source in [Source::Primary, Source::Door(u32::MAX), Source::Desk(WorkerId::new(u32::MAX))] {
            assert_eq!(Source::of(source.data().u64()), source);
        }
    }
}
