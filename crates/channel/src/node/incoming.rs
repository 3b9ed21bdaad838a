//! What comes from the socket: messages, and the descriptors that belong to them.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::error::system;
use super::{Error, Serialization, advanced, json};

/// Room for one read: what Node uses.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Descriptors that one read may bring. Node sends one with a message; what goes beyond this is closed by the kernel.
const DESCRIPTORS_OF_A_READ: usize = 4;
/// Descriptors that wait for their messages.
const WAITING_DESCRIPTORS: usize = 4;
/// A descriptor may come one message early, as Node has it.
const MESSAGES_WITHOUT_HANDLE: u32 = 2;

/// What a read has brought.
#[derive(Debug)]
pub(super) enum Read {
    Bytes(usize, Option<OwnedFd>),
    Nothing,
    End,
}

/// One read. More than one descriptor at once never is Node's: all but the first are closed.
pub(super) fn read(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Read, Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_OF_A_READ))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags) {
            Ok(received) => break received,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return Ok(Read::Nothing),
            // The peer has closed with something of ours unread. Linux says so before it gives out what the peer wrote; a
            // second time it would not.
            Err(Errno::CONNRESET) => continue,
            Err(source) => return Err(system("read from the channel", source)),
        }
    };
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    let descriptors: Vec<OwnedFd> = rights.flatten().collect();
    if received.bytes == 0 {
        return Ok(Read::End);
    }
    Ok(Read::Bytes(received.bytes, descriptors.into_iter().next()))
}

/// The decoder of either serialization.
#[derive(Debug)]
pub(super) enum Framer {
    Json(json::Decoder),
    Advanced(advanced::Decoder),
}

impl Framer {
    pub(super) fn new(serialization: Serialization, largest_message: usize) -> Framer {
        match serialization {
            Serialization::Json => Framer::Json(json::Decoder::new(largest_message)),
            Serialization::Advanced => Framer::Advanced(advanced::Decoder::new(largest_message)),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self {
            Framer::Json(decoder) => decoder.push(bytes),
            Framer::Advanced(decoder) => decoder.push(bytes),
        }
    }

    pub(super) fn take(&mut self) -> Result<Option<&[u8]>, Error> {
        match self {
            Framer::Json(decoder) => decoder.take_frame(),
            Framer::Advanced(decoder) => decoder.take_frame(),
        }
    }
}

/// Descriptors whose messages are not complete yet, in their order.
#[derive(Debug, Default)]
pub(super) struct Descriptors {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    descriptor: OwnedFd,
    /// It came with the read that is being looked at: messages that end in it were sent before.
    fresh: bool,
    messages_since: u32,
}

impl Descriptors {
    /// Takes note of the next read.
    pub(super) fn note(&mut self, descriptor: Option<OwnedFd>) {
        for waiting in &mut self.waiting {
            waiting.fresh = false;
        }
        if let Some(descriptor) = descriptor
            && self.waiting.len() < WAITING_DESCRIPTORS
        {
            self.waiting.push_back(Waiting { descriptor, fresh: true, messages_since: 0 });
        }
    }

    /// The descriptor of the message with a handle that is complete now.
    pub(super) fn take(&mut self) -> Option<OwnedFd> {
        self.waiting.pop_front().map(|waiting| waiting.descriptor)
    }

    /// A message without a handle is complete. Descriptors that stay without a message are closed.
    pub(super) fn pass(&mut self) {
        for waiting in self.waiting.iter_mut().filter(|waiting| !waiting.fresh) {
            waiting.messages_since += 1;
        }
        self.waiting.retain(|waiting| waiting.messages_since < MESSAGES_WITHOUT_HANDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn descriptor() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_descriptor_belongs_to_the_next_message_with_a_handle() {
        let mut descriptors = Descriptors::default();
        let (first, second) = (descriptor(), descriptor());
        let numbers = (first.as_raw_fd(), second.as_raw_fd());
        descriptors.note(Some(first));
        for _ in 0..100 {
            descriptors.pass(); // complete in the same read, so that they were sent before it
        }
        descriptors.note(Some(second)); // the end of the first message came with the beginning of the second
        assert_eq!(descriptors.take().unwrap().as_raw_fd(), numbers.0);
        assert_eq!(descriptors.take().unwrap().as_raw_fd(), numbers.1);
        assert!(descriptors.take().is_none());
    }

    #[test]
    fn a_descriptor_may_be_one_message_early_and_is_closed_when_none_comes() {
        let mut descriptors = Descriptors::default();
        descriptors.note(Some(descriptor()));
        descriptors.note(None);
        descriptors.pass();
        assert!(descriptors.take().is_some());

        descriptors.note(Some(descriptor()));
        descriptors.note(None);
        descriptors.pass();
        descriptors.pass();
        assert!(descriptors.take().is_none());
    }

    #[test]
    fn descriptors_without_end_are_not_kept() {
        let mut descriptors = Descriptors::default();
        for _ in 0..100 {
            descriptors.note(Some(descriptor()));
        }
        assert_eq!(descriptors.waiting.len(), WAITING_DESCRIPTORS);
    }
}
