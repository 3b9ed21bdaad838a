//! TCP sockets that listen.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::BACKLOG;

/// Attempts to find one port that is free at every address of a name.
const PORT_ATTEMPTS: usize = 8;

/// Whether several sockets may have one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Only one.
    Alone,
    /// One a place, among which the kernel chooses.
    ReusePort,
}

/// Whether a socket for all IPv6 addresses takes IPv4 connections as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Families {
    Both,
    OnlyV6,
}

impl Families {
    /// `[::]` takes both families, unless somebody asked for IPv4 on the same port by itself.
    pub(super) fn of(address: SocketAddr, all: &[SocketAddr]) -> Families {
        let rival = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port() && address.port() != 0;
        match address.is_ipv6() && address.ip().is_unspecified() && all.iter().any(rival) {
            true => Families::OnlyV6,
            false => Families::Both,
        }
    }
}

/// A socket that listens on `address`. All of one address have the same options, or the kernel would not let them share.
pub(super) fn listen(address: SocketAddr, families: Families, sharing: Sharing) -> io::Result<OwnedFd> {
    if sharing == Sharing::ReusePort && address.port() != 0 {
        // Without this look another program that shares its port (of the same user) would share it with us, unnoticed.
        drop(bound(address, families, Sharing::Alone)?);
    }
    listen_beside(address, families, sharing)
}

/// The same, for one more socket beside others of ours.
pub(super) fn listen_beside(address: SocketAddr, families: Families, sharing: Sharing) -> io::Result<OwnedFd> {
    let socket = bound(address, families, sharing)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, families: Families, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said in any case: the default is a setting of the machine (`net.ipv6.bindv6only`).
        socket.set_only_v6(families == Families::OnlyV6)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::ReusePort)?;
    // Accepted sockets inherit it, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sockets for all addresses of one name, on one port. An address that this machine does not have is left out, as long as
/// there is another (`localhost` without IPv6).
pub(super) fn listen_on_all(
    addresses: &[SocketAddr],
    families: impl Fn(SocketAddr) -> Families,
    sharing: Sharing,
) -> Result<Vec<OwnedFd>, (SocketAddr, io::Error)> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(addresses, &families, sharing) {
            // Port 0: the port that was free at the first address is taken at another.
            Err((address, source)) if source.kind() == io::ErrorKind::AddrInUse && address.port() == 0 => {
                if attempts == PORT_ATTEMPTS {
                    return Err((address, source));
                }
            }
            done => return done,
        }
    }
}

fn attempt(
    addresses: &[SocketAddr],
    families: &impl Fn(SocketAddr) -> Families,
    sharing: Sharing,
) -> Result<Vec<OwnedFd>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::new();
    let mut missing = None;
    let mut chosen_port = 0;
    for asked in addresses {
        let mut address = *asked;
        if address.port() == 0 {
            address.set_port(chosen_port);
        }
        match listen(address, families(address), sharing) {
            Ok(socket) => {
                let local = super::ListenAddress::of(&socket).map_err(|source| (*asked, source))?;
                chosen_port = local.tcp().map_or(0, |tcp| tcp.port());
                sockets.push(socket);
            }
            Err(source) if is_missing(&source) => missing = Some((*asked, source)),
            Err(source) => return Err((*asked, source)),
        }
    }
    match missing {
        Some(missing) if sockets.is_empty() => Err(missing),
        _ => Ok(sockets),
    }
}

/// Whether this machine does not have the address.
fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn all_ipv6_addresses_take_ipv4_unless_that_was_asked_for_by_itself() {
        let (v6, v4) = (address("[::]:3000"), address("0.0.0.0:3000"));
        assert_eq!(Families::of(v6, &[v6]), Families::Both);
        assert_eq!(Families::of(v6, &[v6, v4]), Families::OnlyV6);
        assert_eq!(Families::of(v6, &[v6, address("127.0.0.1:3000")]), Families::OnlyV6);
        assert_eq!(Families::of(v6, &[v6, address("0.0.0.0:3001")]), Families::Both);
        assert_eq!(Families::of(address("[::]:0"), &[address("[::]:0"), address("0.0.0.0:0")]), Families::Both);
    }

    #[test]
    fn the_addresses_of_a_name_have_one_port() {
        let sockets =
            listen_on_all(&[address("127.0.0.1:0"), address("127.0.0.2:0")], |_| Families::Both, Sharing::Alone)
                .unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| super::super::ListenAddress::of(socket).unwrap().tcp().unwrap().port())
            .collect();
        assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] != 0, "{ports:?}");
    }

    #[test]
    fn an_address_that_is_missing_is_left_out_if_there_is_another() {
        // TEST-NET-1 (RFC 5737): no machine has it.
        let missing = address("192.0.2.1:0");
        let all = |addresses: &[SocketAddr]| listen_on_all(addresses, |_| Families::Both, Sharing::Alone);
        assert_eq!(all(&[missing, address("127.0.0.1:0")]).unwrap().len(), 1);
        assert_eq!(all(&[missing]).unwrap_err().0, missing);
    }

    #[test]
    fn a_port_that_others_share_is_taken_all_the_same() {
        let first = listen(address("127.0.0.1:0"), Families::Both, Sharing::ReusePort).unwrap();
        let taken = super::super::ListenAddress::of(&first).unwrap().tcp().unwrap();
        let error = listen(taken, Families::Both, Sharing::ReusePort).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        listen_beside(taken, Families::Both, Sharing::ReusePort).unwrap();
    }
}
