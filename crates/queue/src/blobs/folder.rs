//! [`FolderStore`]: blobs as files.
//!
//! ```text
//!   put:  FOLDER/new/ID ── write, fsync ── rename ──► FOLDER/ab/cdef… (SHA-256) ── fsync of FOLDER/ab
//!   get:  read, compare with the hash                 both set the time of the file: sweep goes by it
//! ```
//!
//! A reader never sees half a file, and the same bytes are there once. Files are read and written on two threads of the store, never on
//! the thread of whoever awaits.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use phalanx_task::Blob;
use phalanx_thread::ThreadPool;

use super::{BlobHash, BlobStore, hash_of, hexadecimal};
use crate::{BoxFuture, Error, JobId};

/// Threads that read and write: a disk is not faster with more, and two large blobs do not wait for each other.
const THREADS: usize = 2;
/// Reads and writes that may wait for them.
const MOST_WAITING: usize = 4096;
/// They wait as long as it takes: whoever put them there has a deadline of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Files that are being written, in the folder.
const UNFINISHED: &str = "new";

/// Blobs as files of a folder. Made (for its user alone) when the first one is put there. Cheap to clone.
///
/// Over several machines it has to be a folder that all of them see.
#[derive(Debug, Clone)]
pub struct FolderStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    threads: OnceLock<ThreadPool>,
}

impl FolderStore {
    /// The store in this folder.
    pub fn new(folder: PathBuf) -> FolderStore {
        FolderStore(Arc::new(Shared { folder, threads: OnceLock::new() }))
    }

    /// Does it on a thread of the store.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, Error> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, Error>> {
        let threads = match self.threads() {
            Ok(threads) => threads,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let shared = self.0.clone();
        let submission = threads.spawn(move |_| work(&shared.folder));
        Box::pin(
            async move { submission.await.unwrap_or_else(|error| Err(Error::unavailable("the blob store", error))) },
        )
    }

    fn threads(&self) -> Result<&ThreadPool, Error> {
        if let Some(threads) = self.0.threads.get() {
            return Ok(threads);
        }
        let threads = ThreadPool::builder().name("blobs").min_threads(1).max_threads(THREADS).queue_limit(MOST_WAITING);
        let threads = threads.max_wait(LONGEST_WAIT).standing_wait(LONGEST_WAIT).build();
        let threads = threads.map_err(|error| Error::unavailable("the blob store", error))?;
        // Another one that was made meanwhile is as good.
        Ok(self.0.threads.get_or_init(|| threads))
    }
}

impl BlobStore for FolderStore {
    fn put(&self, bytes: Blob) -> BoxFuture<'_, Result<BlobHash, Error>> {
        self.run(move |folder| {
            let hash = hash_of(&bytes);
            put(folder, &hash, &bytes).map_err(|error| store_error(folder, &error))?;
            Ok(hash)
        })
    }

    fn get(&self, hash: BlobHash) -> BoxFuture<'_, Result<Blob, Error>> {
        self.run(move |folder| get(folder, &hash))
    }

    fn sweep(&self, unused_for: Duration) -> BoxFuture<'_, Result<u64, Error>> {
        self.run(move |folder| sweep(folder, unused_for).map_err(|error| store_error(folder, &error)))
    }
}

/// The folder of a blob, and its file in there.
fn place_of(folder: &Path, hash: &BlobHash) -> (PathBuf, PathBuf) {
    let name = hexadecimal(hash);
    let (first, rest) = name.split_at(2);
    let parent = folder.join(first);
    let file = parent.join(rest);
    (parent, file)
}

fn put(folder: &Path, hash: &BlobHash, bytes: &[u8]) -> io::Result<()> {
    let (parent, place) = place_of(folder, hash);
    if is_there(&place, bytes.len())? {
        // Whoever has put it there may not have come so far.
        return File::open(&parent)?.sync_all();
    }
    let is_new = !parent.exists();
    let unfinished = folder.join(UNFINISHED);
    let mut folders = DirBuilder::new();
    folders.recursive(true).mode(0o700);
    folders.create(&unfinished)?;
    folders.create(&parent)?;
    let draft = unfinished.join(JobId::new().to_string());
    let written = write(&draft, bytes).and_then(|()| fs::rename(&draft, &place));
    if written.is_err() {
        // What cannot be removed is swept.
        let _ = fs::remove_file(&draft);
    }
    written?;
    File::open(&parent)?.sync_all()?;
    if is_new { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether a file of this length is there; if so, it is used now.
fn is_there(place: &Path, length: usize) -> io::Result<bool> {
    let file = match OpenOptions::new().write(true).open(place) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    file.set_modified(SystemTime::now())?;
    Ok(file.metadata()?.len() == length as u64)
}

fn write(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn get(folder: &Path, hash: &BlobHash) -> Result<Blob, Error> {
    let (_, place) = place_of(folder, hash);
    let wrong = |reason: String| Error::Blob { hash: hexadecimal(hash), reason };
    let bytes = fs::read(&place).map_err(|error| match error.kind() {
        ErrorKind::NotFound => wrong(format!(
            "it is not in {}: it was swept, or whoever put it has another folder; give all programs the same blobs=FOLDER",
            folder.display()
        )),
        _ => wrong(format!("it cannot be read from {}: {error}", place.display())),
    })?;
    if hash_of(&bytes) != *hash {
        return Err(wrong(format!("the bytes in {} are others: the file was damaged; remove it", place.display())));
    }
    // In a folder that can only be read nothing is swept either.
    let _ = OpenOptions::new().write(true).open(&place).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Blob::from(bytes))
}

fn sweep(folder: &Path, unused_for: Duration) -> io::Result<u64> {
    let Some(before) = SystemTime::now().checked_sub(unused_for) else { return Ok(0) };
    let mut swept = 0;
    for parent in entries(folder)? {
        for file in entries(&parent)? {
            // Whoever else sweeps may be faster.
            let is_old = fs::metadata(&file).and_then(|data| data.modified()).is_ok_and(|used| used < before);
            if is_old && fs::remove_file(&file).is_ok() {
                swept += 1;
            }
        }
    }
    Ok(swept)
}

/// What is in a folder; nothing if it is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn store_error(folder: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::StorageFull => "; make room on its disk",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let this user write there, or name another with blobs="
        }
        _ => "",
    };
    Error::Store { path: folder.to_owned(), reason: format!("a blob cannot be kept: {error}{hint}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        let parents = entries(folder).unwrap();
        parents.iter().flat_map(|parent| entries(parent).unwrap()).collect()
    }

    #[test]
    fn the_same_bytes_are_kept_once_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let hash = hash_of(b"some bytes");
        put(folder.path(), &hash, b"some bytes").unwrap();
        put(folder.path(), &hash, b"some bytes").unwrap();
        let kept = files(folder.path());
        let name = hexadecimal(&hash);
        assert_eq!(kept, [folder.path().join(&name[..2]).join(&name[2..])]);
        assert_eq!(get(folder.path(), &hash).unwrap().as_ref(), b"some bytes");
    }

    #[test]
    fn a_damaged_file_is_no_result_and_is_replaced_by_the_next_put_of_another_length() {
        let folder = tempfile::tempdir().unwrap();
        let hash = hash_of(b"some bytes");
        put(folder.path(), &hash, b"some bytes").unwrap();
        fs::write(&files(folder.path())[0], b"some byt").unwrap();
        assert!(matches!(get(folder.path(), &hash), Err(Error::Blob { .. })));
        put(folder.path(), &hash, b"some bytes").unwrap();
        assert!(get(folder.path(), &hash).is_ok());
    }

    #[test]
    fn only_what_nobody_used_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let (old, used) = (hash_of(b"old"), hash_of(b"used"));
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        for (hash, bytes) in [(old, &b"old"[..]), (used, b"used")] {
            put(folder.path(), &hash, bytes).unwrap();
            let (_, place) = place_of(folder.path(), &hash);
            OpenOptions::new().write(true).open(place).unwrap().set_modified(long_ago).unwrap();
        }
        get(folder.path(), &used).unwrap();
        assert_eq!(sweep(folder.path(), Duration::from_secs(60)).unwrap(), 1);
        assert!(get(folder.path(), &old).is_err());
        assert!(get(folder.path(), &used).is_ok());
        assert_eq!(sweep(&folder.path().join("nowhere"), Duration::ZERO).unwrap(), 0);
    }
}
