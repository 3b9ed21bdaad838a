//! [`MemoryFile`]: memory that is read and written by system calls, so that nothing its other users do can harm us.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;

use super::end_within;
use crate::Error;
use crate::error::system;

/// The length is for ever: a mapping of it never loses its pages, nobody can make it use more memory.
const FIXED_LENGTH: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A memory file of fixed length, without a name. Memory is used only where something was written.
///
/// ```
/// use phalanx_shared::MemoryFile;
///
/// let file = MemoryFile::create("example", 1 << 30)?; // 1 GiB at most, nothing now
/// file.write_at(b"hello", 4096)?;
/// assert_eq!(file.read_at(4096, 5)?, b"hello");
/// # Ok::<(), phalanx_shared::Error>(())
/// ```
#[derive(Debug)]
pub struct MemoryFile {
    file: OwnedFd,
    bytes: u64,
}

impl MemoryFile {
    /// A file of `bytes`, all zero. `name` appears in `/proc/PID/fd` and nowhere else.
    pub fn create(name: &str, bytes: u64) -> Result<MemoryFile, Error> {
        let attempt = |source| system("create a memory file", source);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(name, flags).map_err(attempt)?;
        rustix::fs::ftruncate(&file, bytes).map_err(attempt)?;
        rustix::fs::fcntl_add_seals(&file, FIXED_LENGTH).map_err(attempt)?;
        Ok(MemoryFile { file, bytes })
    }

    /// The file behind a descriptor that came from [`descriptor`](MemoryFile::descriptor).
    pub fn from_descriptor(file: OwnedFd) -> Result<MemoryFile, Error> {
        let refused = |why| Error::Refused { expected: "memory file of fixed length", why };
        let seals = rustix::fs::fcntl_get_seals(&file).map_err(|_| refused("it is no memory file"))?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(refused("its length can be changed"));
        }
        let status = rustix::fs::fstat(&file).map_err(|source| system("look at a memory file", source))?;
        Ok(MemoryFile { file, bytes: u64::try_from(status.st_size).unwrap_or(0) })
    }

    /// A further descriptor of the same memory.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        self.file.try_clone().map_err(|source| system("duplicate the descriptor of a memory file", source))
    }

    /// A descriptor that can be read and mapped for reading. It guards against mistakes, not against malice: a process of
    /// the same user can open it anew for writing.
    pub fn read_only_descriptor(&self) -> Result<OwnedFd, Error> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|source| system("open a memory file for reading", source))
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it can hold nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Writes all of `bytes` at `offset`. Errors: [`Error::OutOfBounds`], and [`Error::System`] where memory is short.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        end_within(offset, bytes.len(), self.bytes)?;
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::pwrite(&self.file, &bytes[written..], offset + written as u64) {
                Ok(0) => return Err(system("write to a memory file", Errno::NOSPC)),
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(source) => return Err(system("write to a memory file", source)),
            }
        }
        Ok(())
    }

    /// The `len` bytes at `offset`, in memory of our own: who writes to the file later does not change them. The bounds are
    /// checked before anything is allocated.
    pub fn read_at(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        end_within(offset, len, self.bytes)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| system("allocate what is read from a memory file", Errno::NOMEM))?;
        while bytes.len() < len {
            let from = offset + bytes.len() as u64;
            match rustix::io::pread(&self.file, rustix::buffer::spare_capacity(&mut bytes), from) {
                Ok(0) => return Err(Error::Shrunk { announced: len as u64, read: bytes.len() as u64 }),
                Ok(_) | Err(Errno::INTR) => {}
                Err(source) => return Err(system("read from a memory file", source)),
            }
        }
        // The allocator may have given more than was asked for.
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Gives the memory of these bytes back to the system; they are zero afterwards. Only whole pages are given back.
    pub fn forget(&self, offset: u64, len: u64) -> Result<(), Error> {
        if len == 0 {
            return Ok(());
        }
        rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len)
            .map_err(|source| system("give back the memory of a file", source))
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(file: &MemoryFile) -> i64 {
        rustix::fs::fstat(file).unwrap().st_blocks
    }

    #[test]
    fn memory_is_used_where_something_was_written_and_given_back_when_it_is_forgotten() {
        let file = MemoryFile::create("test", 1 << 30).unwrap();
        assert_eq!(blocks(&file), 0);
        file.write_at(&[7; 10_000], 1 << 20).unwrap();
        assert!(blocks(&file) > 0);
        assert_eq!(file.read_at((1 << 20) + 1, 9_999).unwrap(), [7; 9_999]);
        file.forget(1 << 20, 12_288).unwrap();
        assert_eq!((blocks(&file), file.read_at(1 << 20, 3).unwrap()), (0, vec![0; 3]));
    }

    #[test]
    fn nothing_outside_is_touched_or_allocated() {
        let file = MemoryFile::create("test", 4096).unwrap();
        for (offset, len) in [(4096, 1), (4000, 97), (u64::MAX, 1), (0, usize::MAX), (u64::MAX, usize::MAX)] {
            assert!(matches!(file.read_at(offset, len), Err(Error::OutOfBounds { .. })), "{len} at {offset}");
        }
        assert!(matches!(file.write_at(&[0; 97], 4000), Err(Error::OutOfBounds { .. })));
        assert!(file.read_at(4096, 0).unwrap().is_empty());
    }

    #[test]
    fn nobody_can_change_its_length() {
        let file = MemoryFile::create("test", 4096).unwrap();
        for bytes in [0, 8192] {
            assert_eq!(rustix::fs::ftruncate(&file, bytes), Err(Errno::PERM));
        }
        let other = MemoryFile::from_descriptor(file.descriptor().unwrap()).unwrap();
        other.write_at(b"x", 0).unwrap();
        assert_eq!(file.read_at(0, 1).unwrap(), b"x");
        let open = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(matches!(MemoryFile::from_descriptor(open), Err(Error::Refused { .. })));
    }
}
