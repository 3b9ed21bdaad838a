//! [`Output`]: a regular file on its way, which takes the place of its target at the end.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::resolve::folder_of;
use super::{Durability, FileError};
use crate::Cause;

/// The permissions of a new file, before the umask.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
/// Until it has the permissions that it keeps.
const UNFINISHED: Mode = Mode::from_raw_mode(0o600);
const GROUP: Mode = Mode::RWXG;
/// How often a temporary name that is taken is chosen anew.
const MOST_NAMES: usize = 16;

/// What is to be replaced, and how.
#[derive(Debug, Clone)]
pub(super) struct Replacing {
    /// Behind all symbolic links.
    pub(super) path: PathBuf,
    pub(super) existing: Option<Stat>,
    pub(super) mode: Option<u32>,
    pub(super) durability: Durability,
}

/// A file that is not yet what it will be called. Dropped before [`take_place`](Output::take_place), it is gone.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) file: File,
    /// Its temporary name, if it has one.
    name: Option<TemporaryName>,
    replacing: Replacing,
}

/// Removes the file when it is dropped.
#[derive(Debug)]
struct TemporaryName(PathBuf);

impl Drop for TemporaryName {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Output {
    pub(super) fn create(replacing: Replacing) -> Result<Output, Cause> {
        let folder = folder_of(&replacing.path);
        let (file, name) = match nameless(&folder, &replacing) {
            Ok(Some(file)) => (file, None),
            Ok(None) => {
                named(&folder, &replacing).map(|(file, name)| (file, Some(name))).map_err(|e| refused(folder, e))?
            }
            Err(error) => return Err(refused(folder, error)),
        };
        let output = Output { file: file.into(), name, replacing };
        output.dress()?;
        Ok(output)
    }

    /// Permissions, group and owner of what it replaces.
    fn dress(&self) -> io::Result<()> {
        let Some(existing) = &self.replacing.existing else {
            if let Some(mode) = self.replacing.mode {
                rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
            }
            return Ok(());
        };
        let own = rustix::fs::fstat(&self.file)?;
        let mut mode = Mode::from_raw_mode(self.replacing.mode.unwrap_or(existing.st_mode & 0o777));
        let group = existing.st_gid != own.st_gid;
        if group && rustix::fs::fchown(&self.file, None, Some(Gid::from_raw(existing.st_gid))).is_err() {
            // Another group must not read what was never meant for it.
            mode -= GROUP;
        }
        if existing.st_uid != own.st_uid {
            let _ = rustix::fs::fchown(&self.file, Some(Uid::from_raw(existing.st_uid)), None);
        }
        Ok(rustix::fs::fchmod(&self.file, mode)?)
    }

    /// It becomes the target.
    pub(super) fn take_place(self) -> Result<(), Cause> {
        let Output { file, name, replacing } = self;
        let is_synced = replacing.durability == Durability::Synced;
        // A file system without nameless files is often one over the network, where only this tells of a write that failed.
        if is_synced || name.is_some() {
            file.sync_all()?;
        }
        let folder = folder_of(&replacing.path);
        match name {
            Some(name) => rename(name, &replacing.path)?,
            None => {
                // Nothing is there yet: no name in between, so not even a kill -9 can leave one.
                let is_new = replacing.existing.is_none();
                match if is_new { link(&file, &replacing.path) } else { Err(Errno::EXIST) } {
                    Ok(()) => {}
                    Err(Errno::EXIST) => rename(link_temporary(&file, &folder)?, &replacing.path)?,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if is_synced {
            File::open(&folder)?.sync_all()?;
        }
        Ok(())
    }
}

fn refused(folder: PathBuf, error: Errno) -> Cause {
    match error {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => {
            FileError::FolderNotWritable { folder, cause: error.into() }.into()
        }
        error => io::Error::from(error).into(),
    }
}

/// A file without a name, or none if the file system (or a system without `/proc`, to name it later) has no such thing.
fn nameless(folder: &Path, replacing: &Replacing) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode_at_first(replacing)) {
        Ok(file) if rustix::fs::stat(proc_path(&file)).is_ok() => Ok(Some(file)),
        Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error),
    }
}

fn named(folder: &Path, replacing: &Replacing) -> Result<(OwnedFd, TemporaryName), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    fresh_name(folder, |path| rustix::fs::open(path, flags, mode_at_first(replacing)))
}

fn mode_at_first(replacing: &Replacing) -> Mode {
    let is_new = replacing.existing.is_none() && replacing.mode.is_none();
    if is_new { NEW_FILE } else { UNFINISHED }
}

fn link_temporary(file: &File, folder: &Path) -> Result<TemporaryName, Errno> {
    fresh_name(folder, |path| link(file, path)).map(|((), name)| name)
}

fn link(file: impl AsFd, path: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, proc_path(&file), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

fn proc_path(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

fn fresh_name<T>(folder: &Path, make: impl Fn(&Path) -> Result<T, Errno>) -> Result<(T, TemporaryName), Errno> {
    for _ in 0..MOST_NAMES {
        let random = RandomState::new().hash_one(std::process::id());
        let path = folder.join(format!(".phalanx-{random:016x}.part"));
        match make(&path) {
            Ok(made) => return Ok((made, TemporaryName(path))),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

fn rename(name: TemporaryName, path: &Path) -> Result<(), Cause> {
    // Whatever came there meanwhile, only a regular file is replaced.
    match rustix::fs::lstat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
            return Err(FileError::NotRegularAnyMore.into());
        }
        Ok(_) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    std::fs::rename(&name.0, path)?;
    // The name is gone; nothing is removed in its stead.
    std::mem::forget(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn replacing(path: &Path) -> Replacing {
        let existing = rustix::fs::stat(path).ok();
        Replacing { path: path.to_owned(), existing, mode: None, durability: Durability::Cached }
    }

    /// As on a file system without nameless files.
    fn with_a_name(path: &Path) -> Output {
        let replacing = replacing(path);
        let (file, name) = named(&folder_of(path), &replacing).unwrap();
        Output { file: file.into(), name: Some(name), replacing }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_nameless_file_is_not_in_the_folder_before_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut output = Output::create(replacing(&path)).unwrap();
        assert!(output.name.is_none(), "the folder for temporary files has no nameless ones");
        output.file.write_all(b"new").unwrap();
        assert!(names(folder.path()).is_empty());
        output.take_place().unwrap();
        assert_eq!((names(folder.path()), std::fs::read(path).unwrap()), (vec!["out".to_owned()], b"new".to_vec()));
    }

    #[test]
    fn a_file_that_came_meanwhile_is_replaced_as_one_that_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut output = Output::create(replacing(&path)).unwrap();
        output.file.write_all(b"new").unwrap();
        std::fs::write(&path, "of somebody else").unwrap();
        output.take_place().unwrap();
        assert_eq!((names(folder.path()), std::fs::read(path).unwrap()), (vec!["out".to_owned()], b"new".to_vec()));
    }

    #[test]
    fn a_temporary_name_is_private_and_gone_on_both_ways_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let mut output = with_a_name(&path);
        output.file.write_all(b"new").unwrap();
        let both = names(folder.path());
        assert!(both.len() == 2 && both[0].starts_with(".phalanx-"), "{both:?}");
        assert_eq!(rustix::fs::fstat(&output.file).unwrap().st_mode & 0o777, 0o600);
        drop(output);
        assert_eq!((names(folder.path()), std::fs::read(&path).unwrap()), (vec!["out".to_owned()], b"old".to_vec()));

        let mut output = with_a_name(&path);
        output.file.write_all(b"new").unwrap();
        output.take_place().unwrap();
        assert_eq!((names(folder.path()), std::fs::read(&path).unwrap()), (vec!["out".to_owned()], b"new".to_vec()));
    }

    #[test]
    fn a_fifo_that_came_meanwhile_is_not_renamed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let output = Output::create(replacing(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let error = output.take_place().unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(FileError::NotRegularAnyMore)), "{error}");
        assert_eq!(names(folder.path()), ["out"]);
    }
}
