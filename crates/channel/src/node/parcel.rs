//! [`Parcel`]: a connection that is sent and yet kept, until it is known that it has arrived. [`Form`]: what is written on it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::handle::{HandleType, envelope};
use super::{Error, Serialization, Value, advanced, internal};

/// Properties of a message: so many that their count is one byte in `advanced`.
const MOST_PROPERTIES: usize = 127;
/// In front of every message of `advanced`.
const VERSION_BYTES: usize = 2;
/// The end of an object with fewer than 128 properties, in `advanced`: a letter, and their count.
const OBJECT_END_BYTES: usize = 2;

/// What has become of a [`Parcel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nobody but us has it: it was not sent, or the channel ended before it was.
    Kept,
    /// It is on its way. If the peer ends before it says that it has arrived, the peer never had it.
    Sent,
    /// The peer has said that it has arrived.
    Arrived,
}

/// A connection that can be sent to one peer after another until one of them takes it. Clones are the same connection, which
/// is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Parcel {
    content: Arc<Content>,
}

#[derive(Debug)]
struct Content {
    socket: OwnedFd,
    fate: AtomicU8,
}

impl Parcel {
    /// Accepts the next connection of a TCP or Unix stream listener, and says from which address it comes; none on a Unix
    /// socket. Nothing if none waits.
    pub fn accept(listener: impl AsFd) -> io::Result<Option<(Parcel, Option<SocketAddr>)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match rustix::net::acceptfrom_with(listener, flags) {
            Ok((socket, address)) => {
                let content = Content { socket, fate: AtomicU8::new(Fate::Kept as u8) };
                let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
                Ok(Some((Parcel { content: Arc::new(content) }, peer)))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(why) => Err(why.into()),
        }
    }

    /// What has become of it.
    pub fn fate(&self) -> Fate {
        match self.content.fate.load(Ordering::Acquire) {
            kept if kept == Fate::Kept as u8 => Fate::Kept,
            sent if sent == Fate::Sent as u8 => Fate::Sent,
            _ => Fate::Arrived,
        }
    }

    pub(super) fn set_fate(&self, fate: Fate) {
        self.content.fate.store(fate as u8, Ordering::Release);
    }
}

impl AsFd for Parcel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.content.socket.as_fd()
    }
}

/// A message of Node's own that goes with a [`Parcel`], encoded but for one number.
#[derive(Debug, Clone)]
pub struct Form {
    serialization: Serialization,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Form {
    /// The message `object`, to which a property `number` is added each time.
    ///
    /// Errors: it is no object, or none of Node's own.
    pub fn new(serialization: Serialization, object: &Value, number: &str) -> Result<Form, Error> {
        let Value::Object(members) = object else {
            return Err(Error::Encode("only an object has a number to fill in".into()));
        };
        if internal::command(object).is_none() {
            return Err(Error::Encode("only messages of Node's own go with a connection of nobody's".into()));
        }
        let mut members = members.clone();
        if members.len() >= MOST_PROPERTIES {
            return Err(Error::Encode("a message of Node's own has few properties".into()));
        }
        members.push((number.to_owned(), 0.into()));
        // The number is the last thing in both, and so are the ends of both objects.
        let mut before = match serialization {
            Serialization::Json => {
                internal::encode(serialization, &envelope(HandleType::Native, Value::Object(members)))?
            }
            Serialization::Advanced => advanced::encode(&envelope(HandleType::Native, Value::Object(members)))?,
        };
        let (zero, end) = match serialization {
            Serialization::Json => (b"0".len(), b"}}\n".len()),
            Serialization::Advanced => (number_in_advanced(0).len(), 2 * OBJECT_END_BYTES),
        };
        let after = before.split_off(before.len() - end);
        before.truncate(before.len() - zero);
        Ok(Form { serialization, before, after })
    }

    pub(super) fn serialization(&self) -> Serialization {
        self.serialization
    }

    /// The whole message, as it goes out.
    pub(super) fn fill(&self, number: u32) -> Vec<u8> {
        match self.serialization {
            Serialization::Json => [&self.before, number.to_string().as_bytes(), &self.after].concat(),
            Serialization::Advanced => {
                let number = number_in_advanced(number);
                let length = (self.before.len() + number.len() + self.after.len()) as u32;
                [&length.to_be_bytes()[..], &self.before, &number, &self.after].concat()
            }
        }
    }
}

/// A number as it stands inside a message: without the version in front.
fn number_in_advanced(number: u32) -> Vec<u8> {
    let mut message = advanced::encode(&number.into()).unwrap_or_default(); // a number has a form
    message.split_off(VERSION_BYTES.min(message.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::json;

    #[test]
    fn a_filled_form_is_the_message_that_was_meant() {
        let object = Value::object([("cmd", "NODE_CLUSTER"), ("act", "newconn"), ("key", "é:\"8000\"")]);
        for serialization in [Serialization::Json, Serialization::Advanced] {
            let form = Form::new(serialization, &object, "seq").unwrap();
            for number in [0, 1, 63, 64, 300, 8191, 8192, 1 << 20, i32::MAX as u32, u32::MAX] {
                let Value::Object(mut members) = object.clone() else { unreachable!() };
                members.push(("seq".into(), number.into()));
                let whole = envelope(HandleType::Native, Value::Object(members));
                let bytes = form.fill(number);
                assert_eq!(bytes, internal::encode(serialization, &whole).unwrap());
                let read = match serialization {
                    Serialization::Json => json::decode(bytes.strip_suffix(b"\n").unwrap()).unwrap(),
                    Serialization::Advanced => advanced::decode(&bytes[advanced::LENGTH_BYTES..]).unwrap(),
                };
                assert_eq!(read, whole, "{number}");
            }
        }
    }

    #[test]
    fn what_is_no_message_of_nodes_own_is_no_form() {
        for wrong in [Value::Null, Value::object([("cmd", "NODE_")]), Value::object([("act", "newconn")])] {
            assert!(matches!(Form::new(Serialization::Json, &wrong, "seq"), Err(Error::Encode(_))));
        }
    }

    #[test]
    fn connections_are_accepted_until_none_waits() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(Parcel::accept(&listener).unwrap().is_none());
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (parcel, peer) = Parcel::accept(&listener).unwrap().expect("it is connected");
        assert_eq!((parcel.fate(), peer), (Fate::Kept, Some(client.local_addr().unwrap())));
        assert!(rustix::fs::fcntl_getfl(&parcel).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    }
}
