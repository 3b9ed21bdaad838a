//! [`chunks()`] of one size, and [`group()`]s of items.

use std::borrow::Cow;

use crate::{CHUNK_BYTES, Cause, Chunk, Flow, Outlet, Transform};

/// Bytes in pieces of exactly so many (0 is taken for 1), the last one perhaps shorter. Pieces that lie whole in what
/// comes are not copied; others are put together, so that one piece is in memory.
///
/// ```
/// use phalanx_stream::{Source, chunks, pipeline};
///
/// let pieces = pipeline(Source::reader("a text", &b"abcdefgh"[..])).through(chunks(3)).collect_blocking()?;
/// assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [3, 3, 2]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn chunks(bytes: usize) -> Chunks {
    Chunks { size: bytes.max(1), begun: Chunk::default(), rest: Chunk::default() }
}

/// See [`chunks()`].
#[derive(Debug)]
pub struct Chunks {
    size: usize,
    begun: Chunk,
    rest: Chunk,
}

impl Chunks {
    /// Puts together what was begun; says whether it is whole.
    fn fill(&mut self, out: &Outlet<'_, Chunk>) -> bool {
        if self.begun.is_empty() {
            self.begun = sized(self.size, out);
        }
        let missing = self.size - self.begun.len();
        let added = self.begun.append(&self.rest[..missing.min(self.rest.len())]);
        self.rest.advance(added);
        self.begun.len() == self.size
    }
}

/// A chunk with that much room: a buffer of the pipeline, if not much more.
pub(crate) fn sized(bytes: usize, out: &Outlet<'_, Chunk>) -> Chunk {
    if (CHUNK_BYTES / 4..=CHUNK_BYTES).contains(&bytes) {
        let mut buffer = out.buffer();
        if buffer.room().len() >= bytes {
            return buffer;
        }
    }
    Chunk::with_room(bytes)
}

impl Transform for Chunks {
    type In = Chunk;
    type Out = Chunk;

    fn name(&self) -> Cow<'static, str> {
        "chunks".into()
    }

    fn transform(&mut self, chunk: Chunk, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        if self.begun.is_empty() && chunk.len() == self.size {
            out.push(chunk);
            return Ok(Flow::Next);
        }
        self.rest = chunk;
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        if !self.begun.is_empty() {
            if !self.fill(out) {
                return Ok(Flow::Next);
            }
            out.push(std::mem::take(&mut self.begun));
        }
        if self.rest.len() >= self.size {
            let mut bytes = std::mem::take(&mut self.rest).into_bytes();
            while bytes.len() >= self.size && !out.is_full() {
                out.push(Chunk::from(bytes.split_to(self.size)));
            }
            self.rest = Chunk::from(bytes);
            if self.rest.len() >= self.size {
                return Ok(Flow::Again);
            }
        }
        if !self.rest.is_empty() {
            self.fill(out);
        }
        self.rest = Chunk::default();
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Chunk>) -> Result<Flow, Cause> {
        out.push(std::mem::take(&mut self.begun));
        Ok(Flow::Next)
    }
}

/// Items in groups of so many (0 is taken for 1), the last one perhaps smaller: for statements and requests that take many at
/// once, and for a parallel transform whose work on one item is too small to be worth a hand.
///
/// ```
/// use phalanx_stream::{Source, group, pipeline};
///
/// let groups = pipeline(Source::iter(1..=5)).through(group(2)).collect_blocking()?;
/// assert_eq!(groups, [vec![1, 2], vec![3, 4], vec![5]]);
/// # Ok::<(), phalanx_stream::Error>(())
/// ```
pub fn group<T>(items: usize) -> Group<T> {
    Group { size: items.max(1), begun: Vec::new() }
}

/// See [`group()`].
#[derive(Debug)]
pub struct Group<T> {
    size: usize,
    begun: Vec<T>,
}

impl<T: Send + 'static> Transform for Group<T> {
    type In = T;
    type Out = Vec<T>;

    fn name(&self) -> Cow<'static, str> {
        "group".into()
    }

    fn transform(&mut self, item: T, out: &mut Outlet<'_, Vec<T>>) -> Result<Flow, Cause> {
        self.begun.push(item);
        if self.begun.len() == self.size {
            out.push(std::mem::take(&mut self.begun));
        }
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Vec<T>>) -> Result<Flow, Cause> {
        if !self.begun.is_empty() {
            out.push(std::mem::take(&mut self.begun));
        }
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cut::tests::pieces;
    use crate::{Source, pipeline};

    proptest! {
        #[test]
        fn pieces_have_one_size_whatever_the_cuts(
            length in 0_usize..200, size in 1_usize..20, sizes in prop::collection::vec(1_usize..50, 1..5)
        ) {
            let bytes: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let cut = pieces(&bytes, &sizes).into_iter().map(Chunk::from);
            let heard = pipeline(Source::iter(cut)).through(chunks(size)).collect_blocking().unwrap();
            let heard: Vec<Vec<u8>> = heard.iter().map(|chunk| chunk.to_vec()).collect();
            prop_assert_eq!(heard, bytes.chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_piece_may_be_larger_than_a_buffer() {
        let size = crate::CHUNK_BYTES * 2 + 1;
        let cut = (0..5).map(|_| Chunk::from(vec![7; crate::CHUNK_BYTES]));
        let heard = pipeline(Source::iter(cut)).through(chunks(size)).collect_blocking().unwrap();
        assert_eq!(heard.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [size, size, crate::CHUNK_BYTES - 2]);
    }
}
