//! [`Segment`]: a sealed, anonymous piece of memory that several processes map.
//!
//! Errors: those of `memfd_create`, `ftruncate`, `fcntl` and `mmap`; and `InvalidInput` when a descriptor that we
//! were given is no sealed memory file of the expected kind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

/// Seals that make a mapping safe to touch: the file can neither shrink under us (SIGBUS) nor grow.
const SIZE_SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

mod sealed {
    pub trait Sealed {}
}

/// A type that may live in shared memory: an atomic integer, for which every bit pattern is a value and whose
/// changes by another process are not undefined behaviour.
pub trait SharedWord: sealed::Sealed + Sync {}

macro_rules! shared_words {
    ($($word:ty),*) => {$(
        impl sealed::Sealed for $word {}
        impl SharedWord for $word {}
    )*};
}
shared_words!(AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicI8, AtomicI16, AtomicI32, AtomicI64);

/// A sealed memory file, mapped into this process.
///
/// It is created zeroed; its size is fixed for ever. Dropping it unmaps the memory; the memory itself lives until the
/// last descriptor and the last mapping of any process are gone.
#[derive(Debug)]
pub struct Segment {
    address: *mut u8,
    length: usize,
    file: OwnedFd,
    writable: bool,
}

// SAFETY: the mapping is plain memory that stays valid until drop, and it is only ever read and written through atomic
// types (`words`), which may be shared between threads.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates a zeroed segment of `length` bytes. `name` appears in `/proc/PID/maps` and nowhere else.
    pub fn create(name: &str, length: usize) -> io::Result<Segment> {
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&file, length as u64)?;
        rustix::fs::fcntl_add_seals(&file, SIZE_SEALS | SealFlags::SEAL)?;
        Segment::map(file)
    }

    /// Maps the segment behind `file`, for reading and writing if the descriptor allows both, else for reading only.
    ///
    /// Refuses a file that is not sealed against shrinking and growing: its other owner could otherwise make us die
    /// of SIGBUS.
    pub fn map(file: OwnedFd) -> io::Result<Segment> {
        let seals = rustix::fs::fcntl_get_seals(&file).map_err(|_| invalid("the descriptor is no memory file"))?;
        if !seals.contains(SIZE_SEALS) {
            return Err(invalid("the memory file is not sealed against shrinking and growing"));
        }
        let length = usize::try_from(rustix::fs::fstat(&file)?.st_size).map_err(|_| invalid("negative size"))?;
        if length == 0 {
            return Err(invalid("the memory file is empty"));
        }
        let writable = rustix::fs::fcntl_getfl(&file)?.contains(rustix::fs::OFlags::RDWR);
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a fresh mapping at an address that the kernel chooses; it aliases no Rust object. The file is at
        // least `length` long and sealed, so every byte of the mapping stays accessible.
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, &file, 0)? };
        Ok(Segment { address: address.cast(), length, file, writable })
    }

    /// A further descriptor of the same memory, to hand to another process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }

    /// A descriptor through which the memory can be read, and neither written nor mapped writable. It guards against
    /// mistakes, not against malice: a process of the same user can open it anew for writing.
    pub fn read_only_descriptor(&self) -> io::Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::open(path, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())?)
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Never true: an empty segment cannot be made.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether this mapping may be written. Writing to one that may not ends the process with SIGSEGV, so code that
    /// was handed a segment asks first.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The whole segment as atomic words; a rest that is too short for a word is left out.
    pub fn words<W: SharedWord>(&self) -> &[W] {
        // SAFETY: the mapping is page-aligned, valid for `length` bytes until `self` is dropped, initialised (zeroed
        // by the kernel, then written by anybody), and `W` is an atomic integer: any bits are a value, and concurrent
        // changes are allowed. The language promises nothing for races between atomics of different widths over the same
        // bytes; the processors that we run on do: such a load is a mixture of old and new bytes. All else that uses a
        // segment keeps to one width a place; only views of a buffer, at the wish of their user, do not.
        unsafe { std::slice::from_raw_parts(self.address.cast::<W>(), self.length / size_of::<W>()) }
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` made; no reference into it outlives `self` (`words` borrows it).
        let _ = unsafe { rustix::mm::munmap(self.address.cast(), self.length) };
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("cannot map shared memory: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_one_mapping_writes_the_other_reads() {
        let ours = Segment::create("test", 4096).unwrap();
        let theirs = Segment::map(ours.descriptor().unwrap()).unwrap();
        ours.words::<AtomicU64>()[7].store(99, Ordering::Release);
        assert_eq!(theirs.words::<AtomicU64>()[7].load(Ordering::Acquire), 99);
        assert_eq!(theirs.words::<AtomicU64>().len(), 512);
    }

    #[test]
    fn a_read_only_descriptor_maps_read_only() {
        let ours = Segment::create("test", 4096).unwrap();
        let theirs = Segment::map(ours.read_only_descriptor().unwrap()).unwrap();
        assert!(!theirs.is_writable());
        ours.words::<AtomicU32>()[0].store(5, Ordering::Release);
        assert_eq!(theirs.words::<AtomicU32>()[0].load(Ordering::Acquire), 5);
    }

    #[test]
    fn memory_that_could_shrink_under_us_is_refused() {
        let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        assert_eq!(Segment::map(file).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let plain = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(Segment::map(plain.into()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
