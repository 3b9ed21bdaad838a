//! Opens what a worker wants to listen on, by the rules of Node and libuv.
//!
//! | wish | socket |
//! |---|---|
//! | no address | `::` for both families (unless only IPv6 is wanted), else `0.0.0.0` |
//! | an IP address | that one, with `SO_REUSEADDR` |
//! | a path | a Unix socket; the file of a dead program is taken over, that of a live one is `EADDRINUSE` |
//! | UDP | bound; shared by all workers whatever the distribution |

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::query::{Kind, Query};
use super::unix_file::{self, UnixFile};

/// Who calls `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listens {
    /// We, and accept for the workers.
    Here,
    /// Each worker by itself.
    InWorkers,
}

/// A socket, with its file if it has one.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: OwnedFd,
    pub(super) file: Option<UnixFile>,
}

/// Errors: what `bind` or `listen` say; `EINVAL` for what is no address.
pub(super) fn open(query: &Query, listens: Listens) -> Result<Opened, Errno> {
    let (socket, file) = match query.target.kind {
        Kind::Given => return Err(Errno::BADF),
        Kind::Pipe => {
            let (socket, file) = unix_file::bind(query)?;
            (socket, file)
        }
        kind => (bind_to_any_family(query, kind)?, None),
    };
    if listens == Listens::Here && !query.target.kind.is_udp() {
        socket.listen(query.backlog).map_err(errno)?;
    }
    Ok(Opened { socket: socket.into(), file })
}

fn bind_to_any_family(query: &Query, kind: Kind) -> Result<Socket, Errno> {
    if let Some(address) = &query.target.address {
        return bind(query, kind, parse(address, query.target.port).ok_or(Errno::INVAL)?);
    }
    let all = |ip: IpAddr| SocketAddr::new(ip, query.target.port);
    bind(query, kind, all(Ipv6Addr::UNSPECIFIED.into()))
        .or_else(|_| bind(query, kind, all(Ipv4Addr::UNSPECIFIED.into())))
}

fn bind(query: &Query, kind: Kind, address: SocketAddr) -> Result<Socket, Errno> {
    let (kind, protocol) = match kind.is_udp() {
        true => (Type::DGRAM, Protocol::UDP),
        false => (Type::STREAM, Protocol::TCP),
    };
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
        if address.is_ipv6() {
            socket.set_only_v6(query.only_v6)?;
        }
        if kind == Type::STREAM || query.reuse_address {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bound().map_err(errno)
}

/// An IP address as Node writes it, perhaps with the name of an interface behind `%`.
fn parse(address: &str, port: u16) -> Option<SocketAddr> {
    if let Some((ip, interface)) = address.split_once('%') {
        let ip: Ipv6Addr = ip.parse().ok()?;
        return Some(SocketAddrV6::new(ip, port, 0, index_of(interface)?).into());
    }
    Some(SocketAddr::new(address.parse().ok()?, port))
}

/// The number of a network interface.
fn index_of(interface: &str) -> Option<u32> {
    if interface.contains(['/', '.']) {
        return None;
    }
    let index = || std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex")).ok()?.trim().parse().ok();
    interface.parse().ok().or_else(index)
}

pub(super) fn errno(why: io::Error) -> Errno {
    Errno::from_io_error(&why).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendant::node::query::Target;

    fn tcp(address: Option<&str>, port: u16) -> Query {
        let address = address.map(str::to_owned);
        Query {
            target: Target { kind: Kind::Tcp, address, port, descriptor: None, index: 0 },
            backlog: 16,
            only_v6: false,
            reuse_address: false,
            readable_by_all: false,
            writable_by_all: false,
            data: None,
        }
    }

    fn port(opened: &Opened) -> u16 {
        socket2::SockRef::from(&opened.socket).local_addr().unwrap().as_socket().unwrap().port()
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_with_its_number() {
        let first = open(&tcp(Some("127.0.0.1"), 0), Listens::Here).unwrap();
        let again = open(&tcp(Some("127.0.0.1"), port(&first)), Listens::Here);
        assert_eq!(again.unwrap_err(), Errno::ADDRINUSE);
    }

    #[test]
    fn what_is_no_address_of_ours_is_an_error() {
        assert_eq!(open(&tcp(Some("nonsense"), 0), Listens::Here).unwrap_err(), Errno::INVAL);
        assert_eq!(open(&tcp(Some("fe80::1%../x"), 0), Listens::Here).unwrap_err(), Errno::INVAL);
        // From the block for documentation (RFC 5737): nobody has it.
        assert_eq!(open(&tcp(Some("192.0.2.1"), 0), Listens::Here).unwrap_err(), Errno::ADDRNOTAVAIL);
    }

    #[test]
    fn without_an_address_both_families_are_served() {
        let opened = open(&tcp(None, 0), Listens::Here).unwrap();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port(&opened))).unwrap();
    }

    #[test]
    fn a_socket_that_workers_share_does_not_listen_yet() {
        let opened = open(&tcp(Some("127.0.0.1"), 0), Listens::InWorkers).unwrap();
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port(&opened))).is_err());
        assert!(!rustix::net::sockopt::socket_acceptconn(&opened.socket).unwrap());
    }

    #[test]
    fn an_address_may_name_its_interface() {
        let address = parse("fe80::1%lo", 80).unwrap();
        assert!(matches!(address, SocketAddr::V6(v6) if v6.scope_id() == 1), "{address}");
        assert_eq!(parse("fe80::1%7", 80).unwrap().to_string(), "[fe80::1%7]:80");
    }
}
