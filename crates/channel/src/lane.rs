//! The lane of one direction: small messages through shared memory, without a system call while the peer is awake.
//!
//! ```text
//!   socket ── … │ Lane + ring │ OnLane │                                        │ frames with descriptors, floods │ OnLane │ …
//!                                      └─► ring │ frames │ frames │ OnSocket │ ─┘
//!                                 Bell ▲ on the socket, when the receiver sleeps
//! ```
//!
//! There is one stream of frames, and one of the two ways carries it at a time; frames in the stream itself say where it
//! goes on. So order, answers and the end are what they are without a lane. The socket takes over for what the ring
//! cannot take at once: descriptors, large batches, a receiver that does not keep up. There it waits as ever.
//!
//! The ring is made once a channel has sent [`WORTH_IT`] messages one by one, unless its end was told not to spin: who
//! sleeps between messages gains nothing by it. It is used once the peer has said that it has it: a process that has
//! no descriptor left goes without.
//!
//! A sender can find out late that the peer is gone: nothing fails while there is room. So a receiver that ends leaves
//! word that it must be rung for, which then fails; and one that was killed is looked for as soon as it has left a
//! message lying.

use phalanx_shared::{Bell, RingReceiver, RingSender};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;
use crate::frame::{Decoder, HEADER_BYTES, Header, Kind};

/// So many messages sent one by one are worth a ring.
pub(crate) const WORTH_IT: u32 = 64;
/// Size of a ring.
const RING_BYTES: usize = 64 * 1024;
/// Most bytes that go into the ring at once: a quarter of it, so that both sides work at the same time.
const MOST_BYTES: usize = RING_BYTES / 4;

/// How far the lanes of both directions have come. What one side's receiving learns, its sending must know.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    /// The peer has our ring.
    ours_is_taken: AtomicBool,
    /// We have the peer's ring, and it does not know yet.
    must_tell: AtomicBool,
}

impl Lanes {
    pub(crate) fn ours_is_taken(&self) {
        self.ours_is_taken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn may_enter(&self) -> bool {
        self.ours_is_taken.load(Ordering::Relaxed)
    }

    pub(crate) fn theirs_is_taken(&self) {
        self.must_tell.store(true, Ordering::Relaxed);
    }

    /// Whether the peer is to be told now; once.
    pub(crate) fn must_tell(&self) -> bool {
        self.must_tell.load(Ordering::Relaxed) && self.must_tell.swap(false, Ordering::Relaxed)
    }
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct LaneWriter {
    ring: RingSender,
}

/// What became of some frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// They are in the ring; the receiver looks there by itself.
    Taken,
    /// They are in the ring, and the receiver must be told.
    TakenAndRing,
    /// Nothing was taken: they are too many, or the receiver does not keep up.
    NoRoom,
}

impl LaneWriter {
    /// A new ring, and the descriptor that makes the peer its receiver.
    pub(crate) fn create() -> Result<(LaneWriter, OwnedFd), phalanx_shared::Error> {
        let ring = RingSender::create(RING_BYTES)?;
        let descriptor = ring.descriptor()?;
        Ok((LaneWriter { ring }, descriptor))
    }

    /// Whether the receiver has taken everything out.
    pub(crate) fn is_empty(&mut self) -> Result<bool, Error> {
        self.ring.is_empty().map_err(broken)
    }

    /// Puts whole frames into the ring, if there is room for them and for the word that sends the stream back.
    pub(crate) fn put(&mut self, frames: &[u8]) -> Result<Put, Error> {
        if frames.len() > MOST_BYTES || !self.ring.has_room_for(&[frames.len(), HEADER_BYTES]).map_err(broken)? {
            return Ok(Put::NoRoom);
        }
        match self.ring.try_send_silently(frames).map_err(broken)? {
            Bell::NotNeeded => Ok(Put::Taken),
            Bell::Ring => Ok(Put::TakenAndRing),
        }
    }

    /// The stream goes on on the socket. Nobody needs to be told: what comes there tells.
    pub(crate) fn leave(&mut self) -> Result<(), Error> {
        let _ = self.ring.try_send_silently(&Header::bare(Kind::OnSocket, 0).encode()).map_err(broken)?;
        Ok(())
    }
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct LaneReader {
    ring: RingReceiver,
    bytes: Vec<u8>,
    /// What came out of the ring.
    pub(crate) decoder: Decoder,
    /// The stream goes through the ring now.
    pub(crate) carries: bool,
    /// The sender was told to ring for the next message.
    armed: bool,
}

impl LaneReader {
    /// The receiver of the ring whose descriptor has come.
    pub(crate) fn from_descriptors(descriptors: Vec<OwnedFd>, limit: usize) -> Result<LaneReader, Error> {
        let [ring] = <[OwnedFd; 1]>::try_from(descriptors)
            .map_err(|all| Error::Malformed(format!("a lane of {} descriptors, expected 1", all.len())))?;
        let ring = RingReceiver::from_descriptor(ring).map_err(broken)?;
        let decoder = Decoder::for_pieces(limit, MOST_BYTES);
        Ok(LaneReader { ring, bytes: Vec::new(), decoder, carries: false, armed: false })
    }

    /// Takes one portion of frames out of the ring; false if there is none.
    pub(crate) fn fill(&mut self) -> Result<bool, Error> {
        if self.ring.try_recv(&mut self.bytes).map_err(broken)?.is_none() {
            return Ok(false);
        }
        if std::mem::take(&mut self.armed) {
            self.ring.disarm();
        }
        self.decoder.append(&self.bytes);
        Ok(true)
    }

    /// Before the program sleeps: from now on the sender rings. True if there is something already.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        if !self.carries {
            return Ok(false);
        }
        let found = self.ring.arm().map_err(broken)?;
        self.armed = !found;
        Ok(found)
    }

    /// Whether the socket is to be looked at too.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed
    }
}

impl Drop for LaneReader {
    fn drop(&mut self) {
        // A message that comes now must be rung for, and that fails once our socket is closed.
        let _ = self.ring.arm();
    }
}

fn broken(source: phalanx_shared::Error) -> Error {
    Error::Malformed(format!("the shared ring of small messages: {source}"))
}
