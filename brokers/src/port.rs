//! Ports of 127.0.0.1 that stay with their broker, also while it is down.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

use rustix::net;

/// Linux's own: <https://docs.kernel.org/networking/ip-sysctl.html>, `ip_local_port_range`.
const USUAL_FIRST_EPHEMERAL: u16 = 32_768;
const LOWEST: u16 = 20_001;
const ATTEMPTS: usize = 1_000;

/// A port that nobody listens on, and that no other program with this crate takes while this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Of this name there is one at a time in a network namespace; it goes with its holder.
    _claim: UnixListener,
}

impl Port {
    /// One that is free now. The kernel gives none of this range to an outgoing connection: otherwise a client that tries
    /// to reconnect to a dead broker might be given the broker's port.
    pub(crate) fn free() -> Result<Self, String> {
        let range = LOWEST..first_ephemeral();
        let random = RandomState::new();
        (0..ATTEMPTS)
            .find_map(|attempt| Self::claim(pick(&range, random.hash_one(attempt))))
            .ok_or_else(|| format!("no port of {range:?} was free in {ATTEMPTS} attempts"))
    }

    fn claim(number: u16) -> Option<Self> {
        let name = UnixAddress::from_abstract_name(format!("phalanx-brokers-port-{number}")).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        is_free(number).then_some(Self { number, _claim: claim })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// Whether it can be bound. It is not listened on: what forks at this moment would go on to listen until its `exec`.
fn is_free(number: u16) -> bool {
    let bind = || {
        let socket =
            net::socket_with(net::AddressFamily::INET, net::SocketType::STREAM, net::SocketFlags::CLOEXEC, None)?;
        net::sockopt::set_socket_reuseaddr(&socket, true)?;
        net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, number))
    };
    bind().is_ok()
}

fn first_ephemeral() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.filter(|first| *first > LOWEST).unwrap_or(USUAL_FIRST_EPHEMERAL)
}

fn pick(range: &Range<u16>, random: u64) -> u16 {
    range.start + (random % range.len() as u64) as u16
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_port_is_held_by_one_broker_even_while_nobody_listens() {
        let port = Port::free().unwrap();
        assert!(Port::claim(port.number()).is_none());
        let number = port.number();
        drop(port);
        // What is being started by another test holds a copy until its `exec`.
        let begun = Instant::now();
        while Port::claim(number).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the claim outlives the port");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_not_free() {
        let port = Port::free().unwrap();
        let number = port.number();
        drop(port);
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        assert!(Port::claim(number).is_none());
    }
}
