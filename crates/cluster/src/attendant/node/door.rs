//! [`Door`]: a socket on which workers listen, and who they are.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use phalanx_channel::Watched;
use phalanx_channel::node::{Parcel, Value};
use socket2::SockRef;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::query::{Kind, Target};
use super::said::Address;
use super::unix_file::UnixFile;
use crate::{Place, WorkerId};

/// The number of a door: never used twice.
pub(super) type DoorNumber = u64;

/// How connections come through.
#[derive(Debug)]
pub(super) enum Way {
    /// Each worker has the socket and accepts by itself. (UDP: receives.)
    Shared(OwnedFd),
    /// We accept and hand out.
    Dispatched(Accepting),
}

/// A socket from which we accept.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) socket: Rc<Watched>,
    /// Somebody could take a connection again.
    pub(super) room: Rc<Notify>,
    pub(super) _task: AbortOnDrop,
}

impl AsFd for Accepting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[derive(Debug)]
pub(super) struct Door {
    pub(super) number: DoorNumber,
    pub(super) target: Target,
    /// Its name on the wire.
    pub(super) key: String,
    pub(super) way: Way,
    /// What the first server has to share with the others.
    pub(super) data: Option<Value>,
    pub(super) members: BTreeSet<WorkerId>,
    /// Connections that were accepted and are nobody's, in the order in which they came.
    pub(super) line: VecDeque<Waiting>,
    /// The place that got the last one.
    pub(super) last: Option<Place>,
    /// The task that closes this door if nobody comes.
    pub(super) lingers: Option<AbortOnDrop>,
    pub(super) file: Option<UnixFile>,
}

/// A connection that waits for a worker.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) parcel: Parcel,
    pub(super) peer: Option<IpAddr>,
    /// Counts the connections, so that one that comes back goes before those that came after it.
    pub(super) order: u64,
}

/// A task that ends with whoever has this.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Door {
    /// A door without members.
    pub(super) fn new(number: DoorNumber, target: Target, key: String, way: Way, file: Option<UnixFile>) -> Door {
        Door {
            number,
            target,
            key,
            way,
            data: None,
            members: BTreeSet::new(),
            line: VecDeque::new(),
            last: None,
            lingers: None,
            file,
        }
    }

    /// Puts a connection where it belongs by its age.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let at = self.line.partition_point(|other| other.order < waiting.order);
        self.line.insert(at, waiting);
    }

    /// Where it listens, if that can be known.
    pub(super) fn address(&self) -> Option<Address> {
        let local = match &self.way {
            Way::Shared(socket) => SockRef::from(socket).local_addr().ok()?,
            Way::Dispatched(socket) => SockRef::from(&socket.as_fd()).local_addr().ok()?,
        };
        match (local.as_socket(), self.target.kind) {
            (Some(ip), Kind::Udp4 | Kind::Udp6) => Some(Address::Udp(ip)),
            (Some(ip), _) => Some(Address::Tcp(ip)),
            (None, _) => {
                let name = local.as_pathname().map(|path| path.display().to_string());
                let name =
                    name.or_else(|| Some(format!("@{}", String::from_utf8_lossy(local.as_abstract_namespace()?))));
                name.map(Address::Unix)
            }
        }
    }

    /// What `server.address()` returns in the workers.
    pub(super) fn socket_name(&self) -> Option<Value> {
        let Some(Address::Tcp(address)) = self.address() else { return None };
        let family = if matches!(address, SocketAddr::V6(_)) { "IPv6" } else { "IPv4" };
        let members = [("address", address.ip().to_string().into()), ("family", family.into())];
        let Value::Object(mut members) = Value::object::<_, Value>(members) else { return None };
        members.push(("port".to_owned(), u32::from(address.port()).into()));
        Some(Value::Object(members))
    }
}
