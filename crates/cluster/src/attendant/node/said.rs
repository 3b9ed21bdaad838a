//! [`Said`]: what there is to tell of a Node worker.

use std::fmt;
use std::net::SocketAddr;

use phalanx_channel::node::Value;

/// What a worker said or did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// Its program has begun.
    Online,
    /// One of its servers listens.
    Listening(Address),
    /// `process.send('ready')`.
    Ready,
    /// Any other message to its parent that was not for other workers.
    Message(Value),
    /// It leaves by itself (`cluster.worker.disconnect()` or `kill()`): its end will be no crash.
    Leaves,
    /// Its channel is closed.
    Disconnected {
        /// It was told to, or has said that it leaves.
        voluntary: bool,
    },
    /// It did what no Node process does, or we cannot do what it wants; the words are for a log.
    Misbehaves(String),
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// TCP, with the port that it has.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix socket; `@` begins the name of one without a file.
    Unix(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Udp(address) => write!(f, "udp:{address}"),
            Address::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}
