//! [`Packets`]: one end of a connection on which one message is one packet.
//!
//! Diagnostics: [`Error::Full`] when the peer does not read, [`Error::Closed`] when it is gone, [`Error::Malformed`]
//! when it sent something else, [`Error::DescriptorsLost`] when `MSG_CTRUNC` was set.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::system;
use crate::socket::Taken;
use crate::{Error, MAX_DESCRIPTORS, socket};

/// Most bytes of an encoded message: what every Linux lets through a socket pair in one packet by default.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// First byte of every packet: the version of the encoding. It also keeps a message of a type without content from
/// being an empty packet, which would look like the end.
const FORMAT: u8 = 1;

/// What [`Packets::receive`] found.
#[derive(Debug)]
pub enum Received<T> {
    /// A message and the descriptors that came with it (close-on-exec).
    Message(T, Vec<OwnedFd>),
    /// Nothing is there now.
    Nothing,
    /// The peer is gone, and everything that it sent was received.
    Closed,
}

/// One end of a connection between two processes on which one message is one packet.
#[derive(Debug)]
pub struct Packets {
    socket: OwnedFd,
}

impl Packets {
    /// A connected pair. Both ends are non-blocking and close-on-exec.
    pub fn pair() -> Result<(Packets, Packets), Error> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(|source| system("create a socket pair", source))?;
        Ok((Packets { socket: a }, Packets { socket: b }))
    }

    /// The end behind a descriptor that was made by [`Packets::pair`] in another process.
    pub fn from_descriptor(socket: OwnedFd) -> Result<Packets, Error> {
        let kind = rustix::net::sockopt::socket_type(&socket).map_err(|source| system("look at the socket", source))?;
        if kind != SocketType::SEQPACKET {
            return Err(Error::Malformed("the inherited descriptor is no packet socket".into()));
        }
        Ok(Packets { socket })
    }

    /// Sends one message with copies of `descriptors`. Never blocks: [`Error::Full`] if the peer does not read.
    pub fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let bytes = postcard::to_extend(message, vec![FORMAT]).map_err(|why| Error::Encode(why.to_string()))?;
        if bytes.len() > MAX_MESSAGE {
            return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_MESSAGE });
        }
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(Error::TooManyDescriptors { count: descriptors.len(), limit: MAX_DESCRIPTORS });
        }
        loop {
            return match socket::give(&self.socket, &bytes, descriptors) {
                Ok(_) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Err(Error::Full),
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => Err(Error::Closed),
                Err(source) => Err(system("send a message", source)),
            };
        }
    }

    /// Takes the next message, if one is there. Never blocks.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Received<T>, Error> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let Some(Taken { bytes: count, descriptors, descriptors_lost, cut_off }) =
            socket::take(&self.socket, &mut bytes)?
        else {
            return Ok(Received::Nothing);
        };
        if count == 0 {
            return Ok(Received::Closed);
        }
        if descriptors_lost {
            return Err(Error::DescriptorsLost);
        }
        if cut_off {
            return Err(Error::Malformed(format!("a message of more than {MAX_MESSAGE} bytes")));
        }
        let Some((&FORMAT, body)) = bytes[..count].split_first() else {
            return Err(Error::Malformed(format!("its first byte is {}, expected {FORMAT}", bytes[0])));
        };
        let message = postcard::from_bytes(body).map_err(|why| Error::Malformed(why.to_string()))?;
        Ok(Received::Message(message, descriptors))
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Packets> for OwnedFd {
    fn from(packets: Packets) -> OwnedFd {
        packets.socket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_descriptor_arrives_with_its_message_and_is_close_on_exec() {
        let (ours, theirs) = Packets::pair().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        ours.send(&1u8, &[file.as_fd()]).unwrap();
        let Received::Message(1u8, descriptors) = theirs.receive().unwrap() else { panic!("no message") };
        assert_eq!(descriptors.len(), 1);
        assert!(rustix::io::fcntl_getfd(&descriptors[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn what_the_peer_wrote_before_it_died_is_received_and_then_the_end() {
        let (ours, theirs) = Packets::pair().unwrap();
        for n in 0..10u32 {
            ours.send(&n, &[]).unwrap();
        }
        theirs.send(&99u32, &[]).unwrap(); // unread at our end when we close: the kernel reports a reset
        drop(ours);
        let mut seen = Vec::new();
        loop {
            match theirs.receive::<u32>().unwrap() {
                Received::Message(n, _) => seen.push(n),
                Received::Closed => break,
                Received::Nothing => panic!("neither data nor end"),
            }
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert!(matches!(theirs.send(&1u8, &[]), Err(Error::Closed)));
    }

    #[test]
    fn a_peer_that_does_not_read_fills_a_bounded_buffer_and_blocks_nobody() {
        let (ours, _theirs) = Packets::pair().unwrap();
        let message = vec![7u8; 1000];
        let sent = (0..10_000).take_while(|_| ours.send(&message, &[]).is_ok()).count();
        assert!(sent < 10_000);
        assert!(matches!(ours.send(&message, &[]), Err(Error::Full)));
    }

    #[test]
    fn what_is_too_large_or_malformed_is_an_error() {
        let (ours, theirs) = Packets::pair().unwrap();
        assert!(matches!(ours.send(&vec![0u8; MAX_MESSAGE], &[]), Err(Error::TooLarge { .. })));
        ours.send(&"text", &[]).unwrap();
        assert!(matches!(theirs.receive::<(u64, String, String)>(), Err(Error::Malformed(_))));
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(matches!(Packets::from_descriptor(a.into()), Err(Error::Malformed(_))));
    }

    #[test]
    fn both_processes_share_the_file_that_was_sent() {
        let (ours, theirs) = Packets::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        ours.send(&(), &[file.as_fd()]).unwrap();
        let Received::Message((), mut descriptors) = theirs.receive().unwrap() else { panic!("no message") };
        let descriptor = descriptors.remove(0);
        std::fs::File::from(descriptor).write_all(b"hello").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }
}
