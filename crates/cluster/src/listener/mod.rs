//! The listening sockets: opened and kept by the primary, inherited by every worker.
//!
//! Because the primary keeps them, nothing that waits in the kernel's backlog is lost when workers die. `O_NONBLOCK`
//! and the socket options belong to the shared file description: they are set once, here, and never changed.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Most connections that wait in the kernel for `accept`; the kernel lowers it to `net.core.somaxconn` (4096).
const BACKLOG: i32 = 4096;

/// The listening sockets of a cluster, or the addresses to open them on again.
#[derive(Debug)]
pub(crate) struct Listeners {
    addresses: Vec<SocketAddr>,
    open: Vec<TcpListener>,
}

impl Listeners {
    /// Opens a socket on each address.
    pub(crate) fn open(addresses: &[SocketAddr]) -> Result<Listeners, Error> {
        let mut listeners = Listeners { addresses: addresses.to_vec(), open: Vec::new() };
        listeners.reopen()?;
        Ok(listeners)
    }

    /// Opens again what [`close`](Self::close) closed, on the same ports.
    pub(crate) fn reopen(&mut self) -> Result<(), Error> {
        if !self.open.is_empty() {
            return Ok(());
        }
        let open: Vec<TcpListener> = self
            .addresses
            .iter()
            .map(|address| bind(*address).map_err(|source| Error::Listen { address: *address, source }))
            .collect::<Result<_, Error>>()?;
        // Port 0 becomes the port that the kernel chose, so that a reopened listener has the same.
        for (address, listener) in self.addresses.iter_mut().zip(&open) {
            *address = listener.local_addr().map_err(Error::system("read the address of a listener"))?;
        }
        self.open = open;
        Ok(())
    }

    /// Closes the primary's sockets. Those of live workers stay open.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    /// The addresses, with the ports that are really used.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The sockets, to hand to a worker.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open.iter().map(AsFd::as_fd)
    }
}

/// The first address that `text` (HOST:PORT) stands for.
pub(crate) fn resolve(text: &str) -> Result<SocketAddr, Error> {
    let bad = |source| Error::Address { address: text.to_owned(), source };
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    text.to_socket_addrs().map_err(bad)?.next().ok_or_else(|| bad(nothing()))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_listener_has_the_port_of_the_first() {
        let mut listeners = Listeners::open(&[resolve("127.0.0.1:0").unwrap()]).unwrap();
        let port = listeners.addresses()[0].port();
        assert_ne!(port, 0);
        listeners.close();
        assert_eq!(listeners.descriptors().count(), 0);
        listeners.reopen().unwrap();
        assert_eq!(listeners.addresses()[0].port(), port);
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listeners::open(&[address]).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains("another program has this port"), "{error}");
    }

    #[test]
    fn what_is_no_address_is_said() {
        let error = resolve("nonsense").unwrap_err();
        assert_eq!(error.exit_code(), 64);
        assert!(error.to_string().contains("\"nonsense\" is no address"), "{error}");
    }
}
