//! The folder of results: a bounded heap of files that several worker processes share without talking to each other.
//!
//! A result is written under a temporary name and renamed, so a reader sees all of it or nothing. Its name is random
//! ([`ImageId`]), so no two processes write the same file. Only results are written here, never an original upload.
//!
//! The bound: every process counts what it wrote since its last look at the folder; after a 64th of the limit it looks
//! again and deletes the oldest files beyond the limit. The folder can therefore be larger than its limit for a moment,
//! by at most a 64th of the limit for each worker. When two processes tidy at once, they delete the same files.
//!
//! Errors: [`StoreError::Full`] if there is no room (507), [`StoreError::Io`] for everything else (500).

mod id;

pub(crate) use id::ImageId;

use phalanx::image::Format;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Prefix of files that are not whole yet.
const UNFINISHED: &str = ".unfinished-";
/// After this time the writer of an unfinished file is surely dead: no write of a result takes minutes.
const UNFINISHED_LIFETIME: Duration = Duration::from_secs(600);
/// Part of the limit that may be written between two looks at the folder.
const LOOK_EVERY_PART: u64 = 64;

/// A folder of stored results.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    limit_bytes: u64,
    written_since_look: AtomicU64,
}

/// Why a result could not be stored or read.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The disk, the quota or the limit has no room.
    Full,
    /// The operating system said no.
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Full,
            _ => StoreError::Io(error),
        }
    }
}

impl Store {
    /// Uses `folder`, which [`Store::prepare`] has checked.
    pub(crate) fn new(folder: &Path, limit_bytes: u64) -> Self {
        // The first put looks at the folder: it may be full of results of earlier days.
        Store { folder: folder.to_owned(), limit_bytes, written_since_look: AtomicU64::new(limit_bytes) }
    }

    /// Makes the folder and proves that a file can be written and renamed there.
    pub(crate) fn prepare(folder: &Path) -> Result<(), String> {
        let attempt = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let [from, to] = ["a", "b"].map(|end| folder.join(format!("{UNFINISHED}{}-{end}", std::process::id())));
            fs::write(&from, b"x")?;
            fs::rename(&from, &to)?;
            fs::remove_file(&to)
        };
        attempt().map_err(|error| {
            format!(
                "cannot write to the store {}: {error}; give --store a folder that this user may write to",
                folder.display()
            )
        })
    }

    /// Stores a result under a new name. Blocks for a write to the page cache.
    pub(crate) fn put(&self, format: Format, bytes: &[u8]) -> Result<ImageId, StoreError> {
        let id = ImageId::new(format)?;
        self.put_as(id, bytes)?;
        Ok(id)
    }

    /// Stores a result under this name, under which there is either nothing or the same. As above.
    pub(crate) fn put_as(&self, id: ImageId, bytes: &[u8]) -> Result<(), StoreError> {
        if self.open(id)?.is_some_and(|(_, length)| length == bytes.len() as u64) {
            return Ok(());
        }
        let length = bytes.len() as u64;
        if length > self.limit_bytes {
            return Err(StoreError::Full);
        }
        if self.written_since_look.fetch_add(length, Ordering::Relaxed) + length > self.limit_bytes / LOOK_EVERY_PART {
            self.written_since_look.store(0, Ordering::Relaxed);
            self.delete_oldest(self.limit_bytes - length)?;
        }
        match self.write(id, bytes) {
            // Somebody deleted the folder under us: begin a new one.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                self.write(id, bytes)?;
            }
            outcome => outcome?,
        }
        Ok(())
    }

    /// All of the file or nothing.
    fn write(&self, id: ImageId, bytes: &[u8]) -> io::Result<()> {
        // A name of its own: another process may be storing the same.
        let random = getrandom::u64().map_err(io::Error::other)?;
        let unfinished = self.folder.join(format!("{UNFINISHED}{random:016x}-{id}"));
        let whole = File::create_new(&unfinished)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&unfinished, self.folder.join(id.to_string())));
        if whole.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        whole
    }

    /// Opens a stored result; `None` if there is no such result (any more).
    pub(crate) fn open(&self, id: ImageId) -> Result<Option<(File, u64)>, StoreError> {
        match File::open(self.folder.join(id.to_string())) {
            Ok(file) => {
                let length = file.metadata()?.len();
                Ok(Some((file, length)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the oldest results until at most `most_bytes` are left, and what dead writers left behind.
    fn delete_oldest(&self, most_bytes: u64) -> Result<(), StoreError> {
        let mut results = Vec::new();
        let mut total_bytes = 0;
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_result = name.parse::<ImageId>().is_ok();
            if !is_result && !name.starts_with(UNFINISHED) {
                continue; // not ours
            }
            // A file that another process deletes meanwhile needs no more attention.
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if is_result {
                total_bytes += metadata.len();
                results.push((modified, metadata.len(), entry.path()));
            } else if modified.elapsed().is_ok_and(|age| age > UNFINISHED_LIFETIME) {
                let _ = fs::remove_file(entry.path());
            }
        }
        results.sort_unstable();
        for (_, length, path) in results {
            if total_bytes <= most_bytes {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => total_bytes -= length,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(store: &Store, id: ImageId) -> Option<Vec<u8>> {
        let (mut file, length) = store.open(id).unwrap()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        Some(bytes)
    }

    #[test]
    fn what_is_put_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), 1 << 20);
        let id = store.put(Format::Png, b"picture").unwrap();
        assert_eq!(read(&store, id).unwrap(), b"picture");
        assert_eq!(names(folder.path()), [id.to_string()]);
        assert!(read(&store, ImageId::new(Format::Png).unwrap()).is_none());
    }

    #[test]
    fn the_oldest_are_deleted_beyond_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), 10_000);
        let old = store.put(Format::Jpeg, &[0; 3000]).unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        File::open(folder.path().join(old.to_string())).unwrap().set_modified(long_ago).unwrap();
        let kept: Vec<_> = (0..3).map(|_| store.put(Format::Jpeg, &[1; 3000]).unwrap()).collect();
        assert!(read(&store, old).is_none());
        assert!(kept.iter().all(|&id| read(&store, id).is_some()));
        assert!(matches!(store.put(Format::Jpeg, &[1; 10_001]), Err(StoreError::Full)));
    }

    #[test]
    fn a_folder_deleted_under_us_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("store");
        let store = Store::new(&folder, 1000);
        let id = store.put(Format::Jpeg, b"picture").unwrap();
        assert_eq!(read(&store, id).unwrap(), b"picture");
    }

    #[test]
    fn the_result_of_a_job_has_one_name_and_is_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), 1 << 20);
        let id = ImageId::of_job([7; 16], Format::Jpeg).unwrap();
        store.put_as(id, b"picture").unwrap();
        store.put_as(ImageId::of_job([7; 16], Format::Jpeg).unwrap(), b"picture").unwrap();
        assert_eq!((names(folder.path()), read(&store, id).unwrap()), (vec![id.to_string()], b"picture".to_vec()));
        assert_eq!(ImageId::of_job([7; 16], Format::Gif), None);
    }

    #[test]
    fn a_full_disk_is_told_apart_from_other_failures() {
        for (kind, full) in [
            (ErrorKind::StorageFull, true),
            (ErrorKind::QuotaExceeded, true),
            (ErrorKind::FileTooLarge, true),
            (ErrorKind::PermissionDenied, false),
        ] {
            assert_eq!(matches!(StoreError::from(io::Error::from(kind)), StoreError::Full), full, "{kind}");
        }
    }

    #[test]
    fn files_of_others_are_left_alone_and_those_of_dead_writers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), [0; 5000]).unwrap();
        for (name, age) in [("dead", UNFINISHED_LIFETIME * 2), ("alive", Duration::ZERO)] {
            let path = folder.path().join(format!("{UNFINISHED}{name}"));
            fs::write(&path, b"half").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() - age).unwrap();
        }
        let store = Store::new(folder.path(), 1000);
        let id = store.put(Format::Jpeg, b"picture").unwrap();
        let mut expected = vec![id.to_string(), format!("{UNFINISHED}alive"), "notes.txt".into()];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Store::prepare(&file).unwrap_err();
        assert!(error.starts_with("cannot write to the store ") && !error.contains('\n'), "{error}");
        assert!(Store::prepare(&folder.path().join("new/inner")).is_ok());
    }
}
