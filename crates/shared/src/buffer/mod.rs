//! [`SharedBuffer`]: bytes that several threads and several processes see at once.
//!
//! ```text
//!   one sealed memory file, created at its largest size; pages that nobody touched cost nothing
//!
//!   │ mark │ kind │ length │  notify counters  │ bytes 0 … length │ not yet … up to the largest length │
//!    ◄───────── header (HEADER_BYTES) ────────►  ◄ views ──────── ►
//! ```
//!
//! The length is one word that only grows. Whoever reads it holds it against the size of the file, which is sealed:
//! another process can write any length there and gains nothing but bytes that are there anyhow.
//!
//! Errors: [`Error::Refused`] for a descriptor that is no buffer, [`Error::OutOfBounds`], [`Error::Misaligned`],
//! [`Error::ReadOnly`], those of growing, and [`Error::System`].

mod element;
mod notified;
#[cfg(test)]
mod tests;
mod view;
mod wait_place;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::error::{system, unmappable};
use crate::{Error, Segment, bytes};

pub use element::{Element, Waitable};
pub(crate) use notified::{Notified, Reading};
pub use view::{View, Waited};
pub(crate) use wait_place::WaitPlace;

/// First word of every buffer ("PHXBUFR" and the version of the layout), so that no other memory is mistaken for one.
const MARK: u64 = u64::from_be_bytes(*b"PHXBUFR\x01");
const MARK_AT: usize = 0;
const KIND_AT: usize = 1;
const LENGTH_AT: usize = 2;
const FIXED: u64 = 1;
const GROWABLE: u64 = 2;
/// Bytes before the first byte of the user: one cache line for mark, kind and length, one for the notify counters.
const HEADER_BYTES: usize = 128;
/// Most bytes of a buffer: what the language can address in one piece, less the header.
const MOST_BYTES: usize = isize::MAX as usize - HEADER_BYTES;

/// Bytes that threads **and** processes share: JavaScript's `SharedArrayBuffer`, beyond the process.
///
/// A clone is another handle on the same memory. Another process gets a [`descriptor`](SharedBuffer::descriptor), through
/// a channel or by inheriting it, and maps it with [`from_descriptor`](SharedBuffer::from_descriptor). The memory
/// begins zeroed, has no name in any file system, and is gone when the last handle and descriptor are.
///
/// ```
/// use phalanx_shared::SharedBuffer;
///
/// let ours = SharedBuffer::new(1024)?;
/// let theirs = SharedBuffer::from_descriptor(ours.descriptor()?)?; // in another process
///
/// ours.view::<i32>()?.store(0, 10)?;
/// theirs.view::<i32>()?.add(0, 5)?;
/// assert_eq!(ours.view::<i32>()?.load(0)?, 15);
/// # Ok::<(), phalanx_shared::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SharedBuffer {
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Memory {
    segment: Segment,
    growable: bool,
    /// The largest length that this process has seen: it never takes one back, whatever the shared word says.
    seen: AtomicUsize,
}

impl SharedBuffer {
    /// A zeroed buffer of `bytes` bytes (0 is allowed), for ever.
    pub fn new(bytes: usize) -> Result<SharedBuffer, Error> {
        SharedBuffer::create(bytes, bytes, FIXED)
    }

    /// A zeroed buffer of `bytes` bytes that can [`grow`](SharedBuffer::grow) up to `max_bytes`.
    ///
    /// What it may once need is reserved as addresses only: no memory is used before it is written.
    pub fn growable(bytes: usize, max_bytes: usize) -> Result<SharedBuffer, Error> {
        if bytes > max_bytes {
            return Err(too_large(bytes, max_bytes));
        }
        SharedBuffer::create(bytes, max_bytes, GROWABLE)
    }

    fn create(bytes: usize, max_bytes: usize, kind: u64) -> Result<SharedBuffer, Error> {
        if max_bytes > MOST_BYTES {
            return Err(too_large(max_bytes, MOST_BYTES));
        }
        let segment = Segment::create("phalanx-buffer", HEADER_BYTES + max_bytes)
            .map_err(|source| system("create a shared buffer", source))?;
        let header = segment.words::<AtomicU64>();
        header[KIND_AT].store(kind, Ordering::Relaxed);
        header[LENGTH_AT].store(bytes as u64, Ordering::Relaxed);
        header[MARK_AT].store(MARK, Ordering::Release);
        Ok(SharedBuffer::of(segment, kind))
    }

    /// The buffer behind a descriptor that came from [`descriptor`](SharedBuffer::descriptor) (or
    /// [`read_only_descriptor`](SharedBuffer::read_only_descriptor)) in this or another process.
    ///
    /// Refuses everything that could harm us: a file that is not sealed in its size, or is no buffer of this version.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<SharedBuffer, Error> {
        let refused = |why| Error::Refused { expected: "shared buffer", why };
        let segment = Segment::map(descriptor).map_err(|source| unmappable("shared buffer", source))?;
        if segment.len() < HEADER_BYTES {
            return Err(refused("it is shorter than the header of one"));
        }
        let header = segment.words::<AtomicU64>();
        if header[MARK_AT].load(Ordering::Acquire) != MARK {
            return Err(refused("it is memory of another kind, or of another version of this program"));
        }
        match header[KIND_AT].load(Ordering::Relaxed) {
            kind @ (FIXED | GROWABLE) => Ok(SharedBuffer::of(segment, kind)),
            _ => Err(refused("it is neither fixed nor growable")),
        }
    }

    fn of(segment: Segment, kind: u64) -> SharedBuffer {
        let growable = kind == GROWABLE;
        let seen = AtomicUsize::new(if growable { 0 } else { segment.len() - HEADER_BYTES });
        SharedBuffer { memory: Arc::new(Memory { segment, growable, seen }) }
    }

    /// A further descriptor of the same memory, to hand to another process.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        self.memory.segment.descriptor().map_err(|source| system("duplicate the descriptor of a shared buffer", source))
    }

    /// A descriptor through which the memory can be read (and waited on), and not written.
    ///
    /// It guards against mistakes, not against malice: a process of the same user can open it anew for writing.
    pub fn read_only_descriptor(&self) -> Result<OwnedFd, Error> {
        self.memory
            .segment
            .read_only_descriptor()
            .map_err(|source| system("open a shared buffer for reading only", source))
    }

    /// Length in bytes now. Never shrinks.
    pub fn len(&self) -> usize {
        let memory = &*self.memory;
        if !memory.growable {
            return self.max_len();
        }
        let word = memory.segment.words::<AtomicU64>()[LENGTH_AT].load(Ordering::SeqCst);
        let clamped = usize::try_from(word).unwrap_or(usize::MAX).min(self.max_len());
        memory.seen.fetch_max(clamped, Ordering::Relaxed).max(clamped)
    }

    /// Whether the length is zero now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length in bytes beyond which it cannot grow.
    pub fn max_len(&self) -> usize {
        self.memory.segment.len() - HEADER_BYTES
    }

    /// Whether it was made by [`growable`](SharedBuffer::growable).
    pub fn is_growable(&self) -> bool {
        self.memory.growable
    }

    /// Whether this handle may write: true unless it came from a read-only descriptor.
    pub fn is_writable(&self) -> bool {
        self.memory.segment.is_writable()
    }

    /// Makes it at least `new_len` bytes long, for everybody at once; the new bytes are zero.
    ///
    /// Several may grow it at the same time; the largest wins. Asking for less than it has is an error, as in
    /// JavaScript.
    pub fn grow(&self, new_len: usize) -> Result<(), Error> {
        if !self.memory.growable {
            return Err(Error::NotGrowable);
        }
        self.check_writable("grow a shared buffer")?;
        if new_len > self.max_len() {
            return Err(too_large(new_len, self.max_len()));
        }
        let len = self.len();
        if new_len < len {
            return Err(Error::CannotShrink { bytes: new_len, len });
        }
        self.memory.segment.words::<AtomicU64>()[LENGTH_AT].fetch_max(new_len as u64, Ordering::SeqCst);
        self.memory.seen.fetch_max(new_len, Ordering::Relaxed);
        Ok(())
    }

    /// The whole buffer as integers; it grows with the buffer. Bytes at the end that fill no element are left out.
    pub fn view<T: Element>(&self) -> Result<View<T>, Error> {
        self.view_at(0)
    }

    /// As [`view`](SharedBuffer::view), from `byte_offset` on, which must be a multiple of the element's size.
    pub fn view_at<T: Element>(&self, byte_offset: usize) -> Result<View<T>, Error> {
        View::tracking(self.clone(), byte_offset)
    }

    /// Exactly `count` elements from `byte_offset` on, which must be there now.
    pub fn view_of<T: Element>(&self, byte_offset: usize, count: usize) -> Result<View<T>, Error> {
        View::fixed(self.clone(), byte_offset, count)
    }

    /// Copies the bytes from `offset` on into `into`.
    ///
    /// If somebody writes them meanwhile, old and new bytes may be mixed: agree on who writes when, by an element of a
    /// view, or send messages through a ring.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.check(offset, into.len())?;
        bytes::read(&self.memory.segment, HEADER_BYTES + offset, into);
        Ok(())
    }

    /// Copies `from` into the buffer, from `offset` on. The same caution as for [`read`](SharedBuffer::read).
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.check_writable("write into a shared buffer")?;
        self.check(offset, from.len())?;
        bytes::write(&self.memory.segment, HEADER_BYTES + offset, from);
        Ok(())
    }

    fn check(&self, offset: usize, count: usize) -> Result<(), Error> {
        match offset.checked_add(count) {
            Some(end) if self.reaches(end) => Ok(()),
            _ => Err(Error::OutOfBounds { index: offset, count, len: self.len() }),
        }
    }

    /// Whether the first `end` bytes are there. The shared word is looked at only if we have not seen so many before.
    fn reaches(&self, end: usize) -> bool {
        end <= self.memory.seen.load(Ordering::Relaxed) || end <= self.len()
    }

    fn check_writable(&self, attempt: &'static str) -> Result<(), Error> {
        if self.is_writable() { Ok(()) } else { Err(Error::ReadOnly { attempt }) }
    }

    /// What notifies of the element at `byte_offset` are counted by.
    fn notified(&self, byte_offset: usize) -> Notified<'_> {
        Notified::at(&self.memory.segment, byte_offset)
    }

    fn segment(&self) -> &Segment {
        &self.memory.segment
    }
}

impl AsFd for SharedBuffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.segment.as_fd()
    }
}

fn too_large(bytes: usize, limit: usize) -> Error {
    Error::TooLarge { what: "a shared buffer", bytes: bytes as u64, limit: limit as u64 }
}
