//! [`Lent`]: the bytes of a [`MemoryFile`](super::MemoryFile), looked at where they lie.

use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::{MemoryFile, end_within};
use crate::Error;
use crate::error::system;

/// Told the offset of a region of which nobody holds anything any more.
type Returned = dyn Fn(u64) + Send + Sync;

/// A memory file of a process that we trust, mapped for reading: [`MemoryFile::read_only_descriptor`] of it.
///
/// **Only for files of a process that keeps the rule:** it never writes to a region between the message that lends it
/// and our word that it is returned. A file of anybody else is read with [`MemoryFile::read_at`].
///
/// ```
/// use phalanx_shared::{Blob, Lent, MemoryFile};
/// use std::sync::mpsc;
///
/// let file = MemoryFile::create("example", 1 << 20)?;
/// file.write_at(b"a picture", 4096)?;
///
/// // In the other process.
/// let (returned, free) = mpsc::channel();
/// let lent = Lent::map(file.read_only_descriptor()?, move |offset| returned.send(offset).unwrap_or(()))?;
/// let region = lent.lend(4096, 9)?;
/// let picture = Blob::from_owner(region.bytes(2..9)?);
/// drop(region);
/// assert_eq!((picture.as_ref(), free.try_recv().is_err()), (&b"picture"[..], true));
/// drop(picture); // the last one
/// assert_eq!(free.recv(), Ok(4096));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lent {
    mapping: Arc<Mapping>,
    returned: Arc<Returned>,
}

/// A region that is lent: it is returned when this and all its [`LentBytes`] are dropped.
#[derive(Clone)]
pub struct LentRegion {
    loan: Arc<Loan>,
}

/// Bytes of a region: for [`Blob::from_owner`](crate::Blob::from_owner).
#[derive(Clone)]
pub struct LentBytes {
    loan: Arc<Loan>,
    range: Range<usize>,
}

/// What is lent, until the last holder drops it.
struct Loan {
    mapping: Arc<Mapping>,
    returned: Arc<Returned>,
    offset: usize,
    len: usize,
}

/// The whole file.
struct Mapping {
    address: *const u8,
    len: usize,
}

// SAFETY: memory that nobody of this process writes and that stays mapped until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Lent {
    /// Maps a file. `returned` is called with the offset of each region that nobody holds any more, on the thread that let go
    /// of it last; it must not panic.
    pub fn map(file: OwnedFd, returned: impl Fn(u64) + Send + Sync + 'static) -> Result<Lent, Error> {
        let refused = |why| Error::Refused { expected: "lent memory", why };
        let file = MemoryFile::from_descriptor(file)?;
        let mode = rustix::fs::fcntl_getfl(&file).map_err(|source| system("look at lent memory", source))?;
        if mode.contains(OFlags::RDWR) {
            return Err(refused("it came with a descriptor to write: pass `read_only_descriptor()`"));
        }
        let len = usize::try_from(file.len()).ok().filter(|len| *len > 0);
        let len = len.ok_or(refused("it is empty"))?;
        // SAFETY: a fresh mapping at an address that the kernel chooses; it aliases no Rust object. The file is sealed against
        // shrinking (checked above), so every byte of the mapping stays accessible.
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &file, 0) }
                .map_err(|source| system("map lent memory", source))?;
        let mapping = Arc::new(Mapping { address: address.cast_const().cast(), len });
        Ok(Lent { mapping, returned: Arc::new(returned) })
    }

    /// A region that the owner has lent us. It calls back once, when it is returned.
    pub fn lend(&self, offset: u64, len: usize) -> Result<LentRegion, Error> {
        end_within(offset, len, self.mapping.len as u64)?;
        let (mapping, returned) = (self.mapping.clone(), self.returned.clone());
        Ok(LentRegion { loan: Arc::new(Loan { mapping, returned, offset: offset as usize, len }) })
    }
}

impl LentRegion {
    /// Some bytes of it.
    pub fn bytes(&self, range: Range<usize>) -> Result<LentBytes, Error> {
        if range.start > range.end || range.end > self.loan.len {
            let count = range.end.saturating_sub(range.start);
            return Err(Error::OutOfBounds { index: range.start, count, len: self.loan.len });
        }
        Ok(LentBytes { loan: self.loan.clone(), range })
    }
}

impl AsRef<[u8]> for LentBytes {
    fn as_ref(&self) -> &[u8] {
        let start = self.loan.offset + self.range.start;
        // SAFETY: `lend` and `bytes` checked that the range lies within the mapping, which the loan keeps; the file cannot
        // shrink. Nobody writes there while we look: the mapping is read-only, and the owner, which `map` is documented to
        // trust (it is the process that started this one, from the same executable), writes to a region only when it is free:
        // not before the loan has said that it is returned, and the loan lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.loan.mapping.address.add(start), self.range.len()) }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        (self.returned)(self.offset as u64);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` made; every slice of it borrows from a holder of this mapping.
        let _ = unsafe { rustix::mm::munmap(self.address.cast_mut().cast(), self.len) };
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").field("len", &self.mapping.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for LentRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentRegion").field("offset", &self.loan.offset).field("len", &self.loan.len).finish()
    }
}

impl fmt::Debug for LentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentBytes").field("offset", &self.loan.offset).field("range", &self.range).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::Blob;

    fn lent(file: &MemoryFile) -> (Lent, Arc<Mutex<Vec<u64>>>) {
        let returned = Arc::new(Mutex::new(Vec::new()));
        let noted = returned.clone();
        let lent = Lent::map(file.read_only_descriptor().unwrap(), move |offset| noted.lock().unwrap().push(offset));
        (lent.unwrap(), returned)
    }

    #[test]
    fn a_region_is_returned_once_when_the_last_clone_is_gone_on_whatever_thread() {
        let file = MemoryFile::create("test", 1 << 20).unwrap();
        file.write_at(&[1, 2, 3, 4], 8192).unwrap();
        let (lent, returned) = lent(&file);
        let region = lent.lend(8192, 4).unwrap();
        let blobs = [region.bytes(0..2).unwrap(), region.bytes(2..4).unwrap()].map(Blob::from_owner);
        drop((region, lent)); // the mapping lives as long as the last blob
        assert_eq!((blobs[0].as_ref(), blobs[1].as_ref()), (&[1, 2][..], &[3, 4][..]));
        let kept = blobs[1].clone();
        drop(blobs);
        assert!(returned.lock().unwrap().is_empty());
        std::thread::spawn(move || drop(kept)).join().unwrap();
        assert_eq!(*returned.lock().unwrap(), [8192]);
    }

    #[test]
    fn nothing_beyond_the_file_or_the_region_is_lent() {
        let file = MemoryFile::create("test", 4096).unwrap();
        let (lent, _) = lent(&file);
        for (offset, len) in [(4096, 1), (0, 4097), (u64::MAX, 1), (1, usize::MAX)] {
            assert!(matches!(lent.lend(offset, len), Err(Error::OutOfBounds { .. })), "{len} at {offset}");
        }
        let region = lent.lend(4000, 96).unwrap();
        for range in [0..97, 97..97, Range { start: 5, end: 4 }] {
            assert!(region.bytes(range.clone()).is_err(), "{range:?}");
        }
        assert!(region.bytes(96..96).unwrap().as_ref().is_empty());
    }

    #[test]
    fn what_could_lose_its_pages_or_be_written_here_is_not_mapped() {
        let writable = MemoryFile::create("test", 4096).unwrap().descriptor().unwrap();
        assert!(matches!(Lent::map(writable, |_| ()), Err(Error::Refused { .. })));
        let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        assert!(matches!(Lent::map(file, |_| ()), Err(Error::Refused { .. })));
        let pipe = rustix::pipe::pipe().unwrap().0;
        assert!(matches!(Lent::map(pipe, |_| ()), Err(Error::Refused { .. })));
    }
}
