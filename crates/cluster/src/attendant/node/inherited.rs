//! [`Inherited`]: sockets that the cluster has opened, and that Node programs get instead of one of their own.

use std::os::fd::OwnedFd;

use phalanx_channel::node::Error;
use rustix::io::Errno;
use socket2::SockRef;

use super::hall::Hall;
use super::query::{Kind, Target};

/// A socket that outlives its doors.
#[derive(Debug)]
pub(super) struct Inherited {
    /// As the programs number it: the first of `LISTEN_FDS` is 3.
    number: i32,
    pub(super) socket: OwnedFd,
}

impl Hall {
    /// Gives the programs a listening socket: who calls `listen({ fd: number })`, or listens at its address or at its port
    /// without an address, gets this one. It is never closed while this hall is.
    ///
    /// Errors: it is no listening stream socket.
    pub(crate) fn inherit(&self, number: i32, socket: OwnedFd) -> Result<(), Error> {
        let failed = |source: Errno| Error::System { attempt: "take over a listening socket", source: source.into() };
        if !rustix::net::sockopt::socket_acceptconn(&socket).map_err(failed)? {
            return Err(Error::Handle(format!("descriptor {number} does not listen")));
        }
        // Node's event loop must not block at it, and neither must ours.
        rustix::io::ioctl_fionbio(&socket, true).map_err(failed)?;
        self.state.borrow_mut().inherited.push(Inherited { number, socket });
        Ok(())
    }
}

impl Inherited {
    pub(super) fn is_for(&self, target: &Target) -> bool {
        let Ok(address) = SockRef::from(&self.socket).local_addr() else { return false };
        match (target.kind, address.as_socket()) {
            (Kind::Given, _) => target.descriptor == Some(self.number),
            (Kind::Tcp, Some(own)) if own.port() == target.port => match target.address.as_deref() {
                None => true,
                Some(ip) => ip.parse() == Ok(own.ip()),
            },
            (Kind::Pipe, None) => {
                let path = target.address.as_deref().unwrap_or_default();
                match path.strip_prefix('\0') {
                    Some(name) => address.as_abstract_namespace() == Some(name.as_bytes()),
                    None => address
                        .as_pathname()
                        .is_some_and(|own| std::path::absolute(own).is_ok_and(|own| own == std::path::Path::new(path))),
                }
            }
            _ => false,
        }
    }
}
