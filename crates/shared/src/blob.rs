//! [`Blob`]: bytes that do not change any more, and travel by the cheapest way.
//!
//! ```text
//!   in this process                 between processes                          in the other process
//!   Vec ──► Blob ── clone, move ──► Blob ── descriptor(): sealed memory file ──► from_descriptor()
//!                                                                    sealed against writing: mapped, no copy
//!                                                                    anything else: copied, within a limit
//! ```
//!
//! A `&[u8]` must not change while somebody looks at it. So only memory that is sealed against writing *and* shrinking is
//! looked at where it is; from any other file the bytes are read into memory of our own.
//!
//! Errors: [`Error::TooLarge`], [`Error::Shrunk`], [`Error::Refused`] for what is no file, and [`Error::System`].

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::Error;
use crate::error::system;

/// With these no process can change what the file holds.
const UNCHANGEABLE: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Bytes that do not change any more. A clone is another handle on the same bytes.
///
/// ```
/// use phalanx_shared::Blob;
///
/// let picture = Blob::from(vec![7; 100_000]); // takes the bytes over, copies nothing
/// let limit = 1_000_000;
/// let there = Blob::from_descriptor(picture.descriptor()?, limit)?; // in another process
/// assert_eq!(there.as_ref(), picture.as_ref());
/// # Ok::<(), phalanx_shared::Error>(())
/// ```
#[derive(Clone)]
pub struct Blob {
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mapping>),
    Held(Arc<dyn Holder>),
}

/// Something that holds bytes which do not change.
trait Holder: Send + Sync {
    fn bytes(&self) -> &[u8];
}

impl<O: AsRef<[u8]> + Send + Sync> Holder for O {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }
}

impl Blob {
    /// The bytes behind a descriptor that came from [`descriptor`](Blob::descriptor), or of any other file: at most
    /// `max_len`, which is checked before memory is allocated.
    ///
    /// Whoever sent the descriptor can neither change the bytes later nor end this process by shrinking the file. Only
    /// regular files are read (a pipe or a socket could hold us up); a file of a network or user-space file system
    /// is as slow as that is.
    pub fn from_descriptor(descriptor: OwnedFd, max_len: usize) -> Result<Blob, Error> {
        let file = rustix::fs::fstat(&descriptor).map_err(|source| system("look at the file of a blob", source))?;
        if FileType::from_raw_mode(file.st_mode) != FileType::RegularFile {
            return Err(Error::Refused { expected: "blob", why: "it is no regular file" });
        }
        let announced = u64::try_from(file.st_size).unwrap_or(u64::MAX);
        let len = match usize::try_from(announced) {
            Ok(len) if len <= max_len => len,
            _ => return Err(Error::TooLarge { what: "a blob", bytes: announced, limit: max_len as u64 }),
        };
        let sealed = rustix::fs::fcntl_get_seals(&descriptor).is_ok_and(|seals| seals.contains(UNCHANGEABLE));
        if sealed && len > 0 {
            return Ok(Blob { bytes: Bytes::Mapped(Arc::new(Mapping::new(descriptor, len)?)) });
        }
        copy(&descriptor, len).map(Blob::from)
    }

    /// A descriptor of the bytes in a memory file that nobody can change, to hand to another process.
    ///
    /// Bytes of our own are copied into a new file, most of the time for fresh pages (0.1 ms for 1 MiB): below about
    /// 256 KiB a socket is faster. Bytes that came by a descriptor are not copied.
    pub fn descriptor(&self) -> Result<OwnedFd, Error> {
        match &self.bytes {
            Bytes::Owned(bytes) => sealed_file(bytes),
            Bytes::Held(owner) => sealed_file(owner.bytes()),
            Bytes::Mapped(mapping) => {
                mapping.file.try_clone().map_err(|source| system("duplicate the descriptor of a blob", source))
            }
        }
    }

    /// The bytes that `owner` holds, without a copy; it is dropped with the last clone. It must give the same bytes each time.
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Blob {
        Blob { bytes: Bytes::Held(Arc::new(owner)) }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.as_ref().is_empty()
    }

    /// The bytes as a vector: without a copy if they are our own and this is the last handle.
    pub fn into_vec(self) -> Vec<u8> {
        match self.bytes {
            Bytes::Owned(bytes) => Arc::unwrap_or_clone(bytes),
            Bytes::Mapped(mapping) => mapping.as_slice().to_vec(),
            Bytes::Held(owner) => owner.bytes().to_vec(),
        }
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Owned(bytes) => bytes,
            Bytes::Mapped(mapping) => mapping.as_slice(),
            Bytes::Held(owner) => owner.bytes(),
        }
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Blob {
        Blob { bytes: Bytes::Owned(Arc::new(bytes)) }
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Blob) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.bytes {
            Bytes::Owned(_) => "owned",
            Bytes::Mapped(_) => "mapped",
            Bytes::Held(_) => "held",
        };
        f.debug_struct("Blob").field("len", &self.len()).field("place", &place).finish()
    }
}

/// A file that is sealed against every change, mapped for reading.
struct Mapping {
    address: *const u8,
    len: usize,
    file: OwnedFd,
}

// SAFETY: the mapping is memory that nobody writes (sealed) and that stays valid until drop.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `file` is sealed against writing, shrinking and growing, and `len` is its size, which is not zero.
    fn new(file: OwnedFd, len: usize) -> Result<Mapping, Error> {
        // Private, because kernels before 6.7 refuse a shared mapping of a file that is sealed against writing. Read-only
        // pages of a private mapping are those of the file.
        // SAFETY: a fresh mapping at an address that the kernel chooses; it aliases no Rust object.
        let address =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) }
                .map_err(|source| system("map a blob", source))?;
        Ok(Mapping { address: address.cast_const().cast(), len, file })
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: mapped for `len` bytes until drop. The seals were there before the mapping and cannot be taken away:
        // no process can write these bytes, and none can cut them off.
        unsafe { std::slice::from_raw_parts(self.address, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `new` made; no slice of it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.address.cast_mut().cast(), self.len) };
    }
}

/// Reads `len` bytes into memory of our own.
fn copy(file: &OwnedFd, len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| system("allocate the bytes of a blob", Errno::NOMEM))?;
    bytes.resize(len, 0);
    let mut read = 0;
    while read < len {
        match rustix::io::pread(file, &mut bytes[read..], read as u64) {
            Ok(0) => return Err(Error::Shrunk { announced: len as u64, read: read as u64 }),
            Ok(count) => read += count,
            Err(Errno::INTR) => {}
            Err(source) => return Err(system("read the bytes of a blob", source)),
        }
    }
    Ok(bytes)
}

/// A memory file that holds `bytes` for ever.
fn sealed_file(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let attempt = |source| system("put a blob into a memory file", source);
    let file =
        rustix::fs::memfd_create("phalanx-blob", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(attempt)?;
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(file.as_fd(), &bytes[written..]) {
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(source) => return Err(attempt(source)),
        }
    }
    rustix::fs::fcntl_add_seals(&file, UNCHANGEABLE | SealFlags::SEAL).map_err(attempt)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn memory_file(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(rustix::io::pwrite(&file, bytes, 0).unwrap(), bytes.len());
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn is_mapped(blob: &Blob) -> bool {
        matches!(blob.bytes, Bytes::Mapped(_))
    }

    #[test]
    fn a_blob_of_any_length_arrives_as_it_was() {
        for len in [0, 1, 4095, 4096, 4097, LIMIT] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let blob = Blob::from(bytes.clone());
            let there = Blob::from_descriptor(blob.descriptor().unwrap(), LIMIT).unwrap();
            assert_eq!((there.as_ref(), is_mapped(&there)), (&bytes[..], len > 0), "{len} bytes");
            let further = Blob::from_descriptor(there.clone().descriptor().unwrap(), LIMIT).unwrap();
            assert_eq!(there, further);
            assert_eq!(further.into_vec(), bytes);
        }
    }

    #[test]
    fn what_was_taken_over_is_not_copied() {
        let bytes = vec![1; 1000];
        let address = bytes.as_ptr();
        let blob = Blob::from(bytes);
        assert_eq!(blob.clone().as_ptr(), address);
        let again = blob.into_vec();
        assert_eq!(again.as_ptr(), address);
    }

    #[test]
    fn nobody_can_change_what_was_handed_out() {
        let file = Blob::from(vec![1; 100]).descriptor().unwrap();
        assert_eq!(rustix::io::pwrite(&file, &[2], 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&file, 200), Err(Errno::PERM));
    }

    #[test]
    fn what_its_sender_could_still_change_is_copied() {
        let every = [SealFlags::WRITE, SealFlags::SHRINK, SealFlags::GROW];
        for missing in every {
            let seals = every.into_iter().filter(|seal| *seal != missing).fold(SealFlags::empty(), SealFlags::union);
            let blob = Blob::from_descriptor(memory_file(b"as it was", seals), LIMIT).unwrap();
            assert!(!is_mapped(&blob), "mapped without {missing:?}");
            assert_eq!(blob.as_ref(), b"as it was");
        }
        let file = memory_file(b"as it was", SealFlags::empty());
        let blob = Blob::from_descriptor(file.try_clone().unwrap(), LIMIT).unwrap();
        rustix::io::pwrite(&file, b"changed", 0).unwrap();
        rustix::fs::ftruncate(&file, 1).unwrap();
        assert_eq!(blob.as_ref(), b"as it was");
    }

    #[test]
    fn more_than_the_limit_is_refused_before_anything_is_allocated() {
        let file = memory_file(b"", SealFlags::empty());
        rustix::fs::ftruncate(&file, 1 << 50).unwrap();
        let error = Blob::from_descriptor(file, LIMIT).unwrap_err();
        assert!(matches!(error, Error::TooLarge { bytes: 0x4_0000_0000_0000, limit: 0x10_0000, .. }), "{error}");
        let sealed = Blob::from(vec![0; 11]).descriptor().unwrap();
        assert!(matches!(Blob::from_descriptor(sealed, 10), Err(Error::TooLarge { bytes: 11, limit: 10, .. })));
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        // As `from_descriptor` does it, with a file that has lost half of what it announced.
        let file = memory_file(&[5; 50], SealFlags::empty());
        assert!(matches!(copy(&file, 100), Err(Error::Shrunk { announced: 100, read: 50 })));
    }

    #[test]
    fn what_is_no_file_is_refused_without_reading_from_it() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        let folder = std::fs::File::open("/").unwrap();
        for descriptor in [reader, folder.into()] {
            assert!(matches!(Blob::from_descriptor(descriptor, LIMIT), Err(Error::Refused { .. })));
        }
    }
}
