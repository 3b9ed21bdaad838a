//! One read and one write on a Unix socket, with the descriptors that ride on it. Neither ever blocks.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::Error;
use crate::error::system;

/// Most descriptors in one message: the kernel's own limit (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 253;

/// What one read brought.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Bytes; zero at the end of a stream.
    pub(crate) bytes: usize,
    /// Descriptors, close-on-exec.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Descriptors came and found no place: this process has too many open files.
    pub(crate) descriptors_lost: bool,
    /// The packet was longer than the space for it.
    pub(crate) cut_off: bool,
}

/// Reads once; `None` if nothing is there.
pub(crate) fn take(socket: impl AsFd, space: &mut [u8]) -> Result<Option<Taken>, Error> {
    let mut ancillary_space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut ancillary_space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(space)], &mut ancillary, flags) {
            Ok(received) => break received,
            // A peer that died with our messages unread is reported once as a reset, before what it sent itself.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(source) => return Err(system("receive a message", source)),
        }
    };
    // Owned at once, so that no error leaks one.
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    let descriptors_lost = received.flags.contains(ReturnFlags::CTRUNC);
    let cut_off = received.flags.contains(ReturnFlags::TRUNC);
    Ok(Some(Taken { bytes: received.bytes, descriptors, descriptors_lost, cut_off }))
}

/// Writes once, with copies of `descriptors` on the first byte; how many bytes the kernel took.
pub(crate) fn give(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if descriptors.is_empty() {
        return rustix::net::send(socket, bytes, flags);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags)
}

/// Whether the other end was closed.
pub(crate) fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec};
    let mut look = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut look, Some(&at_once)).is_ok()
        && look[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
