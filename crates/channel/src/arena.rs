//! The arena of one direction: a shared ring for large contents, and a pipe through which the reader of the ring wakes
//! its writer.
//!
//! It is made when the first large content is sent: the ring and the writing end of the pipe travel to the peer as
//! descriptors of one frame. From then on a large content is written into the ring piece by piece, and the socket carries
//! only a small frame for each. That frame is what the peer waits for; the pipe is what a writer without space waits for,
//! and its end of file tells it that the peer is gone.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use phalanx_shared::{Freed, RingReader, RingWriter};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::error::system;
use crate::{Error, Watched};

/// Contents of at least so many bytes go through the arena.
///
/// Below, what it saves in copying it loses in frames (measured with `cargo xtask bench ipc`: 128 KiB).
pub(crate) const ARENA_FROM: usize = 128 * 1024;
/// Size of a ring: small enough to stay in a core's second-level cache, which is what makes it fast (14 GB/s where a ring
/// of 4 MiB has 10), large enough for several pieces.
const RING_BYTES: usize = 1024 * 1024;
/// Size of a piece: a quarter of the ring, so that writer and reader work at the same time.
const PIECE_BYTES: usize = RING_BYTES / 4;

/// The sending side.
#[derive(Debug)]
pub(crate) struct ArenaWriter {
    ring: RingWriter,
    wakes: Watched,
}

impl ArenaWriter {
    /// A new arena, and the descriptors that make the peer its reader.
    pub(crate) fn create() -> io::Result<(ArenaWriter, Vec<OwnedFd>)> {
        let ring = RingWriter::create("phalanx-channel", RING_BYTES)?;
        let (wakes, waker) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let descriptors = vec![ring.descriptor()?, waker];
        Ok((ArenaWriter { ring, wakes: Watched::for_reading(wakes)? }, descriptors))
    }

    /// Writes the front of `bytes`, and says how many those were: nothing if there is no space now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        self.ring.write(piece).map_err(|source| Error::System { attempt: "write into the shared ring", source })
    }

    /// Waits until the peer has made space.
    pub(crate) async fn space(&self, deadline: Duration) -> Result<(), Error> {
        let waiting = async {
            loop {
                let mut guard = self.wakes.readable().await?;
                match rustix::io::read(&self.wakes, &mut [0; 64]) {
                    Ok(0) => return Ok(false),
                    Ok(_) => return Ok(true),
                    Err(Errno::AGAIN) => guard.clear_ready(),
                    Err(Errno::INTR) => {}
                    Err(other) => return Err(io::Error::from(other)),
                }
            }
        };
        match tokio::time::timeout(deadline, waiting).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Error::Closed),
            Ok(Err(source)) => Err(Error::System { attempt: "wait for space in the shared ring", source }),
            Err(_) => Err(Error::Stalled { waited: deadline }),
        }
    }
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct ArenaReader {
    ring: RingReader,
    waker: OwnedFd,
}

impl ArenaReader {
    /// The reader of the arena whose descriptors have come.
    pub(crate) fn from_descriptors(descriptors: Vec<OwnedFd>) -> Result<ArenaReader, Error> {
        let [ring, waker] = <[OwnedFd; 2]>::try_from(descriptors)
            .map_err(|all| Error::Malformed(format!("an arena of {} descriptors, expected 2", all.len())))?;
        // A blocking pipe in the hands of a peer could hold us up.
        rustix::io::ioctl_fionbio(&waker, true)
            .map_err(|source| system("make the arena's pipe non-blocking", source))?;
        let ring = RingReader::from_descriptor(ring)
            .map_err(|source| Error::System { attempt: "map the shared ring of the peer", source })?;
        Ok(ArenaReader { ring, waker })
    }

    /// Appends a piece to `into`.
    pub(crate) fn read(&mut self, count: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let freed = self.ring.read(count, into).map_err(|why| Error::Malformed(why.to_string()))?;
        if freed == Freed::WakeTheWriter {
            // A full pipe wakes as well as a new byte does; a peer that is gone shows on the socket.
            let _ = rustix::io::write(self.waker.as_fd(), &[1]);
        }
        Ok(())
    }
}
