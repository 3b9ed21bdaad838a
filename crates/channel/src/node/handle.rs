//! [`Handle`]: a socket that travels with a message.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::accounts::Held;
use super::error::system;
use super::{Error, Value};

/// A socket or pipe that travels with a message, by what it becomes in the other program.
///
/// Make one from a socket of `std` (`TcpListener`, `TcpStream`, `UnixListener`, `UnixStream`, `UdpSocket`) with `From`, from one
/// of tokio with `TryFrom`, and turn a received one into a socket of `std` with `TryFrom`:
///
/// ```
/// use phalanx_channel::node::Handle;
/// use std::net::{TcpListener, TcpStream};
///
/// let handle = Handle::from(TcpListener::bind("127.0.0.1:0")?);
/// assert!(TcpStream::try_from(handle).is_err()); // it listens
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Both processes share the open socket, and with it whether it blocks: it is made non-blocking before it is sent (a
/// blocking one would stop Node's event loop), and must stay so. To keep a socket, send a `try_clone` of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Handle {
    /// A listening socket; in Node a `net.Server`.
    Server(OwnedFd),
    /// A connection, or one end of a pipe; in Node a `net.Socket`.
    Socket {
        /// The connection.
        descriptor: OwnedFd,
        /// A Node process that sends the connection of a server counts it until it hears that it was closed: keep this
        /// as long as the connection lives. Nothing for those that nobody counts; ignored when sent.
        held: Option<Held>,
    },
    /// A UDP socket; in Node a `dgram.Socket`.
    Datagram(OwnedFd),
    /// A socket or pipe without a meaning: what `node:cluster` passes on.
    Native(OwnedFd),
}

/// How a handle is named on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandleType {
    Server,
    Socket,
    Datagram(IpVersion),
    Native,
    NativeDatagram,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

impl HandleType {
    pub(super) fn name(self) -> &'static str {
        match self {
            HandleType::Server => "net.Server",
            HandleType::Socket => "net.Socket",
            HandleType::Datagram(_) => "dgram.Socket",
            HandleType::Native => "net.Native",
            HandleType::NativeDatagram => "dgram.Native",
        }
    }

    /// The member `dgramType`, if the handle has one.
    pub(super) fn datagram_name(self) -> Option<&'static str> {
        match self {
            HandleType::Datagram(IpVersion::V4) => Some("udp4"),
            HandleType::Datagram(IpVersion::V6) => Some("udp6"),
            _ => None,
        }
    }
}

impl Handle {
    /// The handle that a message names; `held` if its sender counts it.
    pub(super) fn received(name: &str, descriptor: OwnedFd, held: Option<Held>) -> Handle {
        match name {
            "net.Server" => Handle::Server(descriptor),
            "net.Socket" => Handle::Socket { descriptor, held },
            "dgram.Socket" => Handle::Datagram(descriptor),
            _ => Handle::Native(descriptor),
        }
    }

    /// The descriptor alone. What [`Handle::Socket`] holds is dropped.
    pub fn into_descriptor(self) -> OwnedFd {
        match self {
            Handle::Server(descriptor)
            | Handle::Socket { descriptor, .. }
            | Handle::Datagram(descriptor)
            | Handle::Native(descriptor) => descriptor,
        }
    }

    /// Looks whether Node can take this as what it is said to be, and makes it fit to be sent. Node ends with an assertion
    /// when it is given a file or a terminal, and refuses kinds of sockets that it does not know.
    pub(super) fn prepare(&self) -> Result<HandleType, Error> {
        let kind = Kind::of(self.as_fd())?;
        let fits = match (self, kind) {
            (Handle::Server(_), Kind::Stream { listening: true }) => Ok(HandleType::Server),
            (Handle::Server(_), _) => Err("a server, but it is no listening stream socket"),
            (Handle::Socket { .. }, Kind::Stream { listening: false } | Kind::Pipe) => Ok(HandleType::Socket),
            (Handle::Socket { .. }, _) => Err("a connection, but it is none"),
            (Handle::Datagram(_), Kind::Datagram(version)) => Ok(HandleType::Datagram(version)),
            (Handle::Datagram(_), _) => Err("a UDP socket, but it is none"),
            (Handle::Native(_), Kind::Stream { .. } | Kind::Pipe) => Ok(HandleType::Native),
            (Handle::Native(_), Kind::Datagram(_)) => Ok(HandleType::NativeDatagram),
            (Handle::Native(_), Kind::Other) => {
                Err("a handle, but only TCP, UDP and Unix stream sockets and pipes can be one")
            }
        };
        let name = fits.map_err(|why| Error::Handle(format!("it was given as {why}")))?;
        rustix::io::ioctl_fionbio(self, true).map_err(|source| system("make the handle non-blocking", source))?;
        Ok(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream { listening: bool },
    Datagram(IpVersion),
    Pipe,
    Other,
}

impl Kind {
    fn of(descriptor: BorrowedFd<'_>) -> Result<Kind, Error> {
        Kind::look(descriptor).map_err(|source| system("look at the handle", source))
    }

    fn look(descriptor: BorrowedFd<'_>) -> Result<Kind, Errno> {
        match FileType::from_raw_mode(rustix::fs::fstat(descriptor)?.st_mode) {
            FileType::Fifo => return Ok(Kind::Pipe),
            FileType::Socket => {}
            _ => return Ok(Kind::Other),
        }
        let family = sockopt::socket_domain(descriptor)?;
        Ok(match (family, sockopt::socket_type(descriptor)?) {
            (AddressFamily::INET | AddressFamily::INET6 | AddressFamily::UNIX, SocketType::STREAM) => {
                Kind::Stream { listening: sockopt::socket_acceptconn(descriptor)? }
            }
            (AddressFamily::INET, SocketType::DGRAM) => Kind::Datagram(IpVersion::V4),
            (AddressFamily::INET6, SocketType::DGRAM) => Kind::Datagram(IpVersion::V6),
            _ => Kind::Other,
        })
    }
}

/// The message that carries a handle: `{"cmd":"NODE_HANDLE","type":…,"msg":…}`.
pub(super) fn envelope(handle: HandleType, message: Value) -> Value {
    let mut members = vec![
        ("cmd".to_owned(), "NODE_HANDLE".into()),
        ("type".to_owned(), handle.name().into()),
        ("msg".to_owned(), message),
    ];
    members.extend(handle.datagram_name().map(|name| ("dgramType".to_owned(), name.into())));
    Value::Object(members)
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Server(descriptor)
            | Handle::Socket { descriptor, .. }
            | Handle::Datagram(descriptor)
            | Handle::Native(descriptor) => descriptor.as_fd(),
        }
    }
}

macro_rules! std_sockets {
    ($($socket:ident: $family:pat, $type:pat, $listening:pat => $descriptor:ident, $handle:expr;)*) => { $(
        impl From<$socket> for Handle {
            fn from(socket: $socket) -> Handle {
                let $descriptor = OwnedFd::from(socket);
                $handle
            }
        }

        /// Gives the handle back if it is of another kind. What [`Handle::Socket`] holds is dropped: take that out before if
        /// the peer counts its connections.
        impl TryFrom<Handle> for $socket {
            type Error = Handle;

            fn try_from(handle: Handle) -> Result<$socket, Handle> {
                let family = sockopt::socket_domain(&handle);
                let (kind, listening) = (sockopt::socket_type(&handle), sockopt::socket_acceptconn(&handle));
                match (family, kind, listening) {
                    (Ok($family), Ok($type), Ok($listening)) => Ok(handle.into_descriptor().into()),
                    _ => Err(handle),
                }
            }
        }
    )* };
}

std_sockets! {
    TcpListener: AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM, true => descriptor, Handle::Server(descriptor);
    UnixListener: AddressFamily::UNIX, SocketType::STREAM, true => descriptor, Handle::Server(descriptor);
    TcpStream: AddressFamily::INET | AddressFamily::INET6, SocketType::STREAM, false
        => descriptor, Handle::Socket { descriptor, held: None };
    UnixStream: AddressFamily::UNIX, SocketType::STREAM, false => descriptor, Handle::Socket { descriptor, held: None };
    UdpSocket: AddressFamily::INET | AddressFamily::INET6, SocketType::DGRAM, _ => descriptor, Handle::Datagram(descriptor);
}

macro_rules! tokio_sockets {
    ($($socket:ident)*) => { $(
        /// Takes the socket out of its runtime.
        impl TryFrom<tokio::net::$socket> for Handle {
            type Error = std::io::Error;

            fn try_from(socket: tokio::net::$socket) -> Result<Handle, std::io::Error> {
                Ok(socket.into_std()?.into())
            }
        }
    )* };
}

tokio_sockets! { TcpListener TcpStream UnixListener UnixStream UdpSocket }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_or_confuse_node_is_refused() {
        let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        assert!(matches!(Handle::Native(file).prepare(), Err(Error::Handle(_))));
        let file: OwnedFd = tempfile::tempfile().unwrap().into();
        assert!(matches!(Handle::Socket { descriptor: file, held: None }.prepare(), Err(Error::Handle(_))));
        let (datagram, _) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert!(matches!(Handle::Native(datagram.into()).prepare(), Err(Error::Handle(_))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let as_socket = Handle::Socket { descriptor: listener.try_clone().unwrap().into(), held: None };
        assert!(matches!(as_socket.prepare(), Err(Error::Handle(_))));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Handle::Server(udp.into()).prepare(), Err(Error::Handle(_))));
        assert_eq!(Handle::from(listener).prepare().unwrap(), HandleType::Server);
    }

    #[test]
    fn a_socket_does_not_block_once_it_is_to_be_sent() {
        let (blocking, _peer) = UnixStream::pair().unwrap();
        let handle = Handle::from(blocking);
        assert_eq!(handle.prepare().unwrap(), HandleType::Socket);
        assert!(rustix::fs::fcntl_getfl(&handle).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }

    #[test]
    fn a_handle_becomes_only_the_socket_that_it_is() {
        let handle = Handle::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let handle = TcpListener::try_from(handle).unwrap_err();
        let handle = TcpStream::try_from(handle).unwrap_err();
        assert!(UdpSocket::try_from(handle).is_ok());
        let (a, _b) = UnixStream::pair().unwrap();
        let handle = TcpStream::try_from(Handle::from(a)).unwrap_err();
        assert!(UnixStream::try_from(handle).is_ok());
    }
}
