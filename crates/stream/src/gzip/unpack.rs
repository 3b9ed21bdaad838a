//! [`Unpack`]: the content of a whole member.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};

use super::cut::{Member, Piece};
use super::header::TRAILER_BYTES;
use crate::blocks::Idle;
use crate::{Buffers, CHUNK_BYTES, Cause, Chunk, Outlet, ParallelTransform};

/// Inflates by zlib, not by libdeflate, which would be a third faster: only zlib says where the stream ends, so that a size
/// which is a lie is noticed.
pub(super) struct Unpack {
    idle: Idle<Decompress>,
    /// For the content of a member as we write them.
    buffers: Buffers,
    buffer_bytes: usize,
}

impl Unpack {
    pub(super) fn new(content_bytes: usize, kept: usize) -> Unpack {
        let buffer_bytes = content_bytes + 1;
        Unpack { idle: Idle::new(), buffers: Buffers::new(buffer_bytes, kept), buffer_bytes }
    }

    /// An empty chunk with room for what a member says that it becomes, which is bounded.
    fn room(&self, bytes: usize, out: &Outlet<'_, Piece>) -> Chunk {
        if bytes <= CHUNK_BYTES {
            out.buffer()
        } else if bytes <= self.buffer_bytes {
            self.buffers.take()
        } else {
            Chunk::with_room(bytes)
        }
    }

    /// `None` if it is not what it says.
    fn content(&self, member: &Member, out: &Outlet<'_, Piece>) -> Option<Chunk> {
        let deflated = member.bytes.get(member.head.bytes..)?;
        let (deflated, trailer) = deflated.split_at_checked(deflated.len().checked_sub(TRAILER_BYTES)?)?;
        // One more shows that it is longer than it says.
        let room = member.content_bytes + 1;
        let mut content = self.room(room, out);
        let mut decompress = self.idle.take().unwrap_or_else(|| Decompress::new(false));
        decompress.reset(false);
        let done = decompress.decompress(deflated, &mut content.room()[..room], FlushDecompress::Finish);
        let (taken, given) = (decompress.total_in(), decompress.total_out());
        self.idle.put(decompress);
        let is_whole = matches!(done, Ok(Status::StreamEnd))
            && (taken, given) == (deflated.len() as u64, member.content_bytes as u64);
        content.filled(member.content_bytes);
        (is_whole && trailer.starts_with(&libdeflater::crc32(&content).to_le_bytes())).then_some(content)
    }
}

impl ParallelTransform for Unpack {
    type In = Piece;
    type Out = Piece;

    fn name(&self) -> Cow<'static, str> {
        "gunzip".into()
    }

    fn apply(&self, _: u64, piece: Piece, out: &mut Outlet<'_, Piece>) -> Result<(), Cause> {
        let Piece::Member(member) = piece else {
            out.push(piece);
            return Ok(());
        };
        let (member_bytes, is_followed) = (member.bytes.len(), member.head.is_followed);
        out.push(match self.content(&member, out) {
            Some(bytes) => Piece::Content { bytes, member_bytes, is_followed },
            // What is wrong, and where, is found on the way of the others.
            None => Piece::Stream(member.bytes),
        });
        Ok(())
    }
}
