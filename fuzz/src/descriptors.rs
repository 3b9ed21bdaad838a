//! Descriptors to send, and sending them.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use phalanx_shared::RingWriter;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::Carried;

/// The kernel's own limit (`SCM_MAX_FD`).
const MOST: usize = 253;
const RING_BYTES: usize = 64 * 1024;
/// What stands in a ring that is sent. Bytes that are also good frames, should anybody decode them.
const RING_FILLING: u8 = 1;

impl Carried {
    /// New descriptors of this kind.
    pub fn make(self) -> Vec<OwnedFd> {
        match self {
            Carried::Nothing => Vec::new(),
            Carried::Pipe => vec![pipe()],
            Carried::TwoPipes => vec![pipe(), pipe()],
            Carried::Arena => vec![ring(), pipe()],
            Carried::File => vec![std::fs::File::open("/proc/self/exe").expect("our own file opens").into()],
            Carried::Listener => vec![TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free").into()],
            Carried::Most => {
                let pipe = pipe();
                (0..MOST).map(|_| pipe.try_clone().expect("there are enough descriptors")).collect()
            }
        }
    }
}

/// The writing end of a pipe that nobody reads.
fn pipe() -> OwnedFd {
    rustix::pipe::pipe().expect("a pipe can be made").1
}

fn ring() -> OwnedFd {
    let mut ring = RingWriter::create("fuzz", RING_BYTES).expect("a ring can be made");
    ring.write(&[RING_FILLING; RING_BYTES / 2]).expect("it is empty");
    ring.descriptor().expect("it has a descriptor")
}

/// Sends a piece with what it carries; false if the other end has closed or takes no more.
pub fn send(socket: BorrowedFd<'_>, piece: &[u8], carried: Carried) -> bool {
    let descriptors = carried.make();
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[IoSlice::new(piece)], &mut ancillary, flags) == Ok(piece.len())
}
