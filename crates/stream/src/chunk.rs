//! [`Chunk`]: a piece of bytes on its way through a pipeline, in a buffer that is used again.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// Bytes in a reused buffer: larger ones leave the second-level cache, smaller ones cost more system calls (measured:
/// copying through 1 MiB is four times slower than through 256 KiB).
pub const CHUNK_BYTES: usize = 256 << 10;

/// Buffers up to this size may be as empty as they like.
const COMPACT_FROM: usize = 4 << 10;
/// A larger buffer that is filled to less than one part of so many is not kept for its content.
const LEAST_FILLED: usize = 8;

/// A piece of bytes on its way through a pipeline: moved, never copied, from part to part.
///
/// It derefs to `[u8]`. Bytes that are shared with somebody else (made from [`Bytes`]) are copied when they are written to.
/// Dropped, its buffer goes back to the [`Buffers`] that it came from.
///
/// ```
/// use phalanx_stream::Chunk;
///
/// let mut chunk = Chunk::from(&b"hello"[..]);
/// chunk.make_ascii_uppercase();
/// assert_eq!(*chunk, *b"HELLO");
/// ```
#[derive(Default)]
pub struct Chunk {
    held: Held,
    range: Range<usize>,
}

enum Held {
    /// Initialised in its whole length, of which the range is in use.
    Own(Vec<u8>, Weak<Shelf>),
    Shared(Bytes),
}

impl Default for Held {
    fn default() -> Held {
        Held::Own(Vec::new(), Weak::new())
    }
}

impl Chunk {
    /// An empty one with so many bytes of [`room`](Chunk::room), in a buffer of its own.
    pub fn with_room(bytes: usize) -> Chunk {
        Chunk { held: Held::Own(vec![0; bytes], Weak::new()), range: 0..0 }
    }

    /// The initialised bytes behind its content, to be filled: write here, then say how much with
    /// [`filled`](Chunk::filled). Of shared bytes there is none.
    pub fn room(&mut self) -> &mut [u8] {
        match &mut self.held {
            Held::Own(buffer, _) => &mut buffer[self.range.end..],
            Held::Shared(_) => &mut [],
        }
    }

    /// The first `bytes` of the room are content now; no more than the room has.
    pub fn filled(&mut self, bytes: usize) {
        let most = self.room().len();
        self.range.end += bytes.min(most);
    }

    /// Appends as much as there is room for, and says how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let room = self.room();
        let fits = bytes.len().min(room.len());
        room[..fits].copy_from_slice(&bytes[..fits]);
        self.filled(fits);
        fits
    }

    /// Forgets the first bytes; all, if it has fewer.
    pub fn advance(&mut self, bytes: usize) {
        self.range.start += bytes.min(self.range.len());
    }

    /// Keeps the first `bytes`; all, if it has fewer.
    pub fn truncate(&mut self, bytes: usize) {
        self.range.end = self.range.start + bytes.min(self.range.len());
    }

    /// Copies its content to a buffer of its size, if that is a small part of the one it is in: who keeps many of them keeps
    /// no air.
    pub(crate) fn compact(&mut self) {
        let Held::Own(buffer, _) = &self.held else { return };
        if buffer.len() > COMPACT_FROM && self.range.len() < buffer.len() / LEAST_FILLED {
            *self = Chunk::from(&buffer[self.range.clone()]);
        }
    }

    /// As [`Bytes`], without a copy: the buffer goes back when the last of them is dropped.
    pub fn into_bytes(mut self) -> Bytes {
        match std::mem::take(&mut self.held) {
            Held::Shared(bytes) => bytes.slice(self.range.clone()),
            own => {
                self.held = own;
                Bytes::from_owner(self)
            }
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.held {
            Held::Own(buffer, _) => &buffer[self.range.clone()],
            Held::Shared(bytes) => &bytes[self.range.clone()],
        }
    }
}

impl DerefMut for Chunk {
    fn deref_mut(&mut self) -> &mut [u8] {
        if let Held::Shared(bytes) = &self.held {
            *self = Chunk::from(bytes[self.range.clone()].to_vec());
        }
        match &mut self.held {
            Held::Own(buffer, _) => &mut buffer[self.range.clone()],
            Held::Shared(_) => &mut [],
        }
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Chunk {
        let range = 0..bytes.len();
        Chunk { held: Held::Own(bytes, Weak::new()), range }
    }
}

impl From<&[u8]> for Chunk {
    fn from(bytes: &[u8]) -> Chunk {
        Chunk::from(bytes.to_vec())
    }
}

impl From<String> for Chunk {
    fn from(text: String) -> Chunk {
        Chunk::from(text.into_bytes())
    }
}

impl From<&str> for Chunk {
    fn from(text: &str) -> Chunk {
        Chunk::from(text.as_bytes())
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Chunk {
        let range = 0..bytes.len();
        Chunk { held: Held::Shared(bytes), range }
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Chunk) -> bool {
        **self == **other
    }
}

impl Eq for Chunk {}

impl fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Chunk({} bytes)", self.len())
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Held::Own(buffer, home) = &mut self.held
            && let Some(home) = home.upgrade()
        {
            home.take_back(std::mem::take(buffer));
        }
    }
}

/// The buffers of a pipeline: taken, and given back by dropping the [`Chunk`]. A clone is the same shelf.
#[derive(Clone, Debug)]
pub struct Buffers {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    idle: Mutex<Vec<Vec<u8>>>,
    bytes: usize,
    kept: usize,
}

impl Buffers {
    /// Buffers of so many bytes each, of which at most `kept` lie idle.
    pub fn new(bytes: usize, kept: usize) -> Buffers {
        Buffers { shelf: Arc::new(Shelf { idle: Mutex::default(), bytes: bytes.max(1), kept }) }
    }

    /// An empty chunk with room: a used buffer if one lies idle.
    pub fn take(&self) -> Chunk {
        let idle = self.shelf.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = idle.unwrap_or_else(|| vec![0; self.shelf.bytes]);
        Chunk { held: Held::Own(buffer, Arc::downgrade(&self.shelf)), range: 0..0 }
    }

    /// Frees those that lie idle.
    pub(crate) fn clear(&self) {
        self.shelf.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Shelf {
    fn take_back(&self, buffer: Vec<u8>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.kept {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_chunk_gives_its_buffer_back() {
        let buffers = Buffers::new(8, 1);
        let mut chunk = buffers.take();
        assert_eq!(chunk.append(b"0123456789"), 8);
        chunk.advance(2);
        chunk.truncate(3);
        assert_eq!(*chunk, *b"234");
        let first = chunk.as_ptr() as usize - 2;
        drop(chunk);
        assert_eq!(buffers.take().room().as_ptr() as usize, first);
    }

    #[test]
    fn shared_bytes_are_copied_when_they_are_written_to() {
        let shared = Bytes::from_static(b"abc");
        let mut chunk = Chunk::from(shared.clone());
        chunk.make_ascii_uppercase();
        assert_eq!((&*shared, &*chunk), (&b"abc"[..], &b"ABC"[..]));
    }

    #[test]
    fn as_bytes_it_keeps_its_buffer_until_the_last_is_gone() {
        let buffers = Buffers::new(4, 1);
        let mut chunk = buffers.take();
        chunk.append(b"abcd");
        let bytes = chunk.into_bytes();
        let slice = bytes.slice(1..3);
        drop(bytes);
        assert!(buffers.shelf.idle.lock().unwrap().is_empty());
        assert_eq!(slice, "bc");
        drop(slice);
        assert_eq!(buffers.shelf.idle.lock().unwrap().len(), 1);
    }
}
