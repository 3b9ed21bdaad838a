//! [`ListenAddress`]: where a cluster listens, as events and logs name it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::Error;

/// What a Unix socket's address begins with.
pub(super) const UNIX: &str = "unix:";

/// Where a cluster listens, with the port that is really used.
///
/// ```
/// use phalanx_cluster::ListenAddress;
///
/// let address: ListenAddress = "127.0.0.1:3000".parse()?;
/// assert_eq!(address.tcp().map(|tcp| tcp.port()), Some(3000));
/// let address: ListenAddress = "unix:/run/app.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/app.sock");
/// # Ok::<(), phalanx_cluster::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP port: `127.0.0.1:3000`, `[::]:3000`.
    Tcp(SocketAddr),
    /// A Unix socket with a file: `unix:/run/app.sock`.
    Unix(PathBuf),
    /// A Unix socket without a file, in the abstract namespace: `unix:@app`. Gone with its last holder.
    Abstract(String),
}

impl ListenAddress {
    /// The address, if it is a TCP port.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Tcp(address) => Some(*address),
            _ => None,
        }
    }

    /// The address of a socket, as the kernel knows it.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<ListenAddress> {
        let address = SockRef::from(socket).local_addr()?;
        if let Some(tcp) = address.as_socket() {
            return Ok(ListenAddress::Tcp(tcp));
        }
        match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => Ok(ListenAddress::Unix(path.to_owned())),
            (_, Some(name)) => Ok(ListenAddress::Abstract(String::from_utf8_lossy(name).into_owned())),
            _ if address.is_unix() => Err(io::Error::other("the Unix socket has no address")),
            _ => Err(io::Error::other("it is neither a TCP nor a Unix socket")),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            ListenAddress::Abstract(name) => write!(f, "{UNIX}@{name}"),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

/// Reads what [`Display`](fmt::Display) writes. Names of hosts are no addresses: [`Listen`](crate::Listen) takes those.
impl FromStr for ListenAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<ListenAddress, Error> {
        match text.strip_prefix(UNIX) {
            Some(name) => unix(name).map_err(|why| bad(text, why)),
            None => text.parse().map(ListenAddress::Tcp).map_err(|_| bad(text, "it is neither IP:PORT nor unix:PATH")),
        }
    }
}

/// The error that `text` is no address.
pub(super) fn bad(text: &str, why: &str) -> Error {
    Error::Address { address: text.to_owned(), source: io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()) }
}

/// Longest path or abstract name, in bytes: `sun_path` has 108, one of which ends a path or begins a name (unix(7)).
const MAX_UNIX_NAME: usize = 107;

/// The Unix address behind `unix:`.
pub(super) fn unix(name: &str) -> Result<ListenAddress, &'static str> {
    let (address, length) = match name.strip_prefix('@') {
        Some(name) => (ListenAddress::Abstract(name.to_owned()), name.len()),
        None => (ListenAddress::Unix(PathBuf::from(OsStr::from_bytes(name.as_bytes()))), name.len()),
    };
    match length {
        0 => Err("nothing follows unix:; write unix:/PATH or unix:@NAME"),
        1..=MAX_UNIX_NAME if !name.contains('\0') => Ok(address),
        1..=MAX_UNIX_NAME => Err("there is a NUL byte in it"),
        _ => Err("its path is longer than the 107 bytes that a Unix socket can have: choose a shorter one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in ["127.0.0.1:3000", "[::]:80", "[fe80::1%3]:1", "unix:/run/app.sock", "unix:app.sock", "unix:@app"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        for (text, part) in [
            ("localhost:3000", "neither IP:PORT nor unix:PATH"),
            ("unix:", "write unix:/PATH"),
            ("unix:@", "write unix:/PATH"),
            (&format!("unix:/{}", "x".repeat(107)), "107 bytes"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert_eq!(error.exit_code(), 64);
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(format!("unix:/{}", "x".repeat(106)).parse::<ListenAddress>().is_ok());
    }
}
