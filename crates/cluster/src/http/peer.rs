//! [`Peer`]: who is at the other end of a connection, as each request tells.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketAddrAny};

use super::mark::{Mark, Order};

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket; who it was, if the kernel knows.
    Unix(Option<Credentials>),
}

impl Client {
    /// The client of a connected socket whose peer has this address, which the client of a Unix socket has not; `None` if
    /// it is neither TCP nor a Unix socket.
    pub(super) fn of(socket: &impl AsFd, address: Option<SocketAddrAny>) -> Option<Client> {
        if let Some(address) = address.and_then(|address| SocketAddr::try_from(address).ok()) {
            return Some(Client::Tcp(address));
        }
        let is_unix = rustix::net::sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX);
        is_unix.then(|| Client::Unix(credentials(socket)))
    }
}

/// The process that opened a connection over a Unix socket, as the kernel saw it at that moment (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Its process id, in our namespace. The process may have ended since.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

fn credentials(socket: &impl AsFd) -> Option<Credentials> {
    let known = rustix::net::sockopt::socket_peercred(socket).ok()?;
    Some(Credentials { pid: known.pid.as_raw_nonzero().get() as u32, uid: known.uid.as_raw(), gid: known.gid.as_raw() })
}

/// The connection of a request and who is at its other end: an extension of each request. Cheap to clone.
///
/// ```no_run
/// # async fn example<B>(request: http::Request<B>) {
/// if let Some(peer) = request.extensions().get::<phalanx_cluster::Peer>() {
///     println!("a request from {:?}", peer.address());
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Peer {
    mark: Arc<Mark>,
    client: Client,
    encrypted: bool,
}

impl Peer {
    pub(super) fn new(mark: Arc<Mark>, client: Client, encrypted: bool) -> Peer {
        Peer { mark, client, encrypted }
    }

    /// Its address; `None` on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.client {
            Client::Tcp(address) => Some(address),
            Client::Unix(_) => None,
        }
    }

    /// Its process; `None` over TCP.
    pub fn credentials(&self) -> Option<Credentials> {
        match self.client {
            Client::Tcp(_) => None,
            Client::Unix(credentials) => credentials,
        }
    }

    /// Whether the connection is under TLS.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether the connection is to come to its end, because the worker leaves.
    pub fn is_leaving(&self) -> bool {
        self.mark.order() != Order::Serve
    }

    /// Resolves when the connection is to come to its end, because the worker leaves. For code that keeps a connection
    /// for long (a WebSocket, a stream of events): say goodbye then. When only this worker leaves, its connections are
    /// told one after the other, so that their clients do not all come back at once; whatever is left at the end of the
    /// drain deadline is closed.
    pub async fn leaving(&self) {
        self.mark.told().await;
    }
}
