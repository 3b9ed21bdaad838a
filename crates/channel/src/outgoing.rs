//! [`Outgoing`]: frames on their way into the socket, and the descriptors that ride on them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use postcard::ser_flavors::Flavor;
use rustix::io::Errno;
use serde::Serialize;

use crate::error::system;
use crate::frame::{HEADER_BYTES, Header, Kind};
use crate::lane::{LaneWriter, Lanes, Put, WORTH_IT};
use crate::{Error, MAX_DESCRIPTORS, socket};

/// A buffer that was larger than this is given back once it is empty.
const KEPT_BYTES: usize = 512 * 1024;

/// Frames that the kernel has not taken yet. Positions count bytes since the channel was opened.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that the kernel has.
    sent: usize,
    /// Position of the front of the buffer.
    origin: u64,
    /// Descriptors, and the position of the first byte of the frame that they ride on.
    riding: VecDeque<(u64, Vec<OwnedFd>)>,
    lane: Lane,
    lanes: Arc<Lanes>,
    /// From this position on the stream goes through the lane.
    lane_from: Option<u64>,
    closed: bool,
}

/// How it stands with the lane.
#[derive(Debug, Default)]
enum Lane {
    /// There is none and will be none.
    #[default]
    Never,
    /// So many messages were sent without it.
    NotYet(u32),
    Made(LaneWriter),
}

impl Outgoing {
    /// An end that makes a lane when that is worth it.
    pub(crate) fn with_a_lane(lanes: Arc<Lanes>) -> Outgoing {
        Outgoing { lane: Lane::NotYet(0), lanes, ..Outgoing::default() }
    }

    /// Bytes that the kernel has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Everything before this position was taken by the kernel.
    pub(crate) fn sent_to(&self) -> u64 {
        self.origin + self.sent as u64
    }

    /// Where the next frame will begin.
    pub(crate) fn end(&self) -> u64 {
        self.origin + self.buffer.len() as u64
    }

    /// Nothing more will be sent.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Appends a frame without content.
    pub(crate) fn push_bare(&mut self, header: Header, descriptors: Vec<OwnedFd>) {
        if self.closed {
            return;
        }
        self.choose_way(&descriptors);
        self.ride(self.buffer.len(), descriptors);
        self.buffer.extend_from_slice(&header.encode());
    }

    /// Before a frame is appended: whether the stream goes on through the lane or on the socket.
    pub(crate) fn choose_way(&mut self, descriptors: &[OwnedFd]) {
        if !descriptors.is_empty() {
            self.leave_lane();
        } else if self.lane_from.is_none() && self.unsent() == 0 {
            self.enter_lane();
        }
    }

    fn enter_lane(&mut self) {
        match &mut self.lane {
            Lane::Never => return,
            Lane::NotYet(sent) if *sent < WORTH_IT => {
                *sent += 1;
                return;
            }
            Lane::NotYet(_) => {
                // No memory or no descriptor left: the socket does it too.
                let Ok((lane, descriptor)) = LaneWriter::create() else {
                    self.lane = Lane::Never;
                    return;
                };
                self.lane = Lane::Made(lane);
                self.ride(self.buffer.len(), vec![descriptor]);
                self.buffer.extend_from_slice(&Header { descriptors: 1, ..Header::bare(Kind::Lane, 0) }.encode());
                return;
            }
            Lane::Made(_) if !self.lanes.may_enter() => return,
            Lane::Made(lane) => match lane.is_empty() {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    self.lane = Lane::Never;
                    return;
                }
            },
        }
        self.buffer.extend_from_slice(&Header::bare(Kind::OnLane, 0).encode());
        self.lane_from = Some(self.end());
    }

    /// Everything that is not in the ring goes by the socket.
    fn leave_lane(&mut self) {
        if self.lane_from.take().is_some()
            && let Lane::Made(lane) = &mut self.lane
            && lane.leave().is_err()
        {
            // The peer has spoilt its own ring: it will not find what follows, and ends the channel.
            self.lane = Lane::Never;
        }
    }

    /// Appends a message. On an error nothing was appended.
    pub(crate) fn push<T: Serialize + ?Sized>(
        &mut self,
        mut header: Header,
        value: &T,
        payload: &[u8],
        descriptors: Vec<OwnedFd>,
        limit: usize,
    ) -> Result<(), Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(Error::TooManyDescriptors { count: descriptors.len(), limit: MAX_DESCRIPTORS });
        }
        self.choose_way(&descriptors);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEADER_BYTES]);
        self.buffer.extend_from_slice(payload);
        if let Err(why) = postcard::serialize_with_flavor(value, Append(&mut self.buffer)) {
            self.buffer.truncate(start);
            return Err(Error::Encode(why.to_string()));
        }
        let length = self.buffer.len() - start - HEADER_BYTES;
        let assembled = if header.is_assembled() { header.payload as usize } else { 0 };
        if length + assembled > limit {
            self.buffer.truncate(start);
            return Err(Error::TooLarge { bytes: length + assembled, limit });
        }
        // Both fit: the limit is at most what 32 bits hold.
        header.length = length as u32;
        header.payload += payload.len() as u32;
        header.descriptors = descriptors.len() as u8;
        self.buffer[start..start + HEADER_BYTES].copy_from_slice(&header.encode());
        self.ride(start, descriptors);
        Ok(())
    }

    /// Puts descriptors on the frame that begins at this place of the buffer.
    fn ride(&mut self, start: usize, descriptors: Vec<OwnedFd>) {
        if !descriptors.is_empty() {
            self.riding.push_back((self.origin + start as u64, descriptors));
        }
    }

    /// Takes back what was appended since `position`, if the kernel has none of it.
    pub(crate) fn take_back(&mut self, position: u64) -> bool {
        let untouched = self.sent_to() <= position;
        if untouched {
            self.buffer.truncate((position - self.origin) as usize);
            self.riding.retain(|(at, _)| *at < position);
        }
        untouched
    }

    /// Gives the kernel what it takes. True if nothing is left.
    pub(crate) fn write_out(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Error> {
        while self.sent < self.buffer.len() {
            let now = self.sent_to();
            if self.lane_from.is_some_and(|from| now >= from) {
                self.put_into_lane(socket)?;
                continue;
            }
            let carried = self.riding.front().filter(|(at, _)| *at == now).map(|(_, descriptors)| &descriptors[..]);
            // Descriptors ride on the first byte of their frame, so a write ends where the next ones begin.
            let next = self.riding.iter().map(|(at, _)| *at).find(|at| *at > now);
            let until = next.into_iter().chain(self.lane_from).min();
            let until = until.map_or(self.buffer.len(), |at| (at - self.origin) as usize);
            let borrowed: Vec<BorrowedFd<'_>> = carried.unwrap_or_default().iter().map(AsFd::as_fd).collect();
            match socket::give(socket, &self.buffer[self.sent..until], &borrowed) {
                Ok(count) => {
                    if carried.is_some() && count > 0 {
                        self.riding.pop_front();
                    }
                    self.sent += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.forget_sent();
                    return Ok(false);
                }
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(self.peer_is_gone()),
                Err(source) => return Err(system("send a message", source)),
            }
        }
        self.forget_sent();
        Ok(true)
    }

    /// Puts what is left into the lane, or leaves the lane.
    fn put_into_lane(&mut self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let Lane::Made(lane) = &mut self.lane else {
            self.lane_from = None;
            return Ok(());
        };
        if !lane.is_empty()? && socket::is_hung_up(socket) {
            return Err(self.peer_is_gone());
        }
        let put = lane.put(&self.buffer[self.sent..])?;
        if put == Put::NoRoom {
            self.leave_lane();
            return Ok(());
        }
        self.sent = self.buffer.len();
        if put == Put::TakenAndRing {
            match socket::give(socket, &Header::bare(Kind::Bell, 0).encode(), &[]) {
                // A full socket is a bell too.
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Err(self.peer_is_gone()),
                Err(source) => return Err(system("send a message", source)),
            }
        }
        Ok(())
    }

    /// Nothing more can be sent.
    fn peer_is_gone(&mut self) -> Error {
        self.close();
        self.origin = self.sent_to();
        self.sent = 0;
        self.buffer.clear();
        self.riding.clear();
        self.lane_from = None;
        Error::Closed
    }

    /// Takes the sent bytes out of the buffer, when that is cheap.
    fn forget_sent(&mut self) {
        if self.sent == self.buffer.len() {
            self.origin += self.sent as u64;
            self.sent = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_BYTES);
        } else if self.sent > KEPT_BYTES {
            self.buffer.drain(..self.sent);
            self.origin += self.sent as u64;
            self.sent = 0;
        }
    }
}

/// Lets postcard write at the end of our buffer.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
