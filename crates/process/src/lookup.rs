//! Which files a program name may mean, and, when none could be started, why not.
//!
//! The search is that of `execvp`, but along the `PATH` that the *child* will have, and it says more than `ENOENT`.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::SpawnError;

/// Where programs are searched if the child has no `PATH`: what the C library takes.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The shell of scripts without a `#!` line, as for `execvp`.
pub(crate) const SHELL: &std::ffi::CStr = c"/bin/sh";

/// Bytes of a file that are looked at to tell a script from data, as shells do.
const SCRIPT_PROBE: u64 = 128;

/// A program by name, and the files it may mean, best first.
#[derive(Debug)]
pub(crate) struct Program {
    name: OsString,
    /// The `PATH` that was searched; `None` if the name is a path.
    searched: Option<OsString>,
    /// Working directory of the child, which relative paths start from.
    directory: Option<PathBuf>,
    /// Files to try, in order. Never empty: if nothing was found, the first one of the search, so that the system
    /// itself says no.
    pub(crate) candidates: Vec<CString>,
}

impl Program {
    /// Looks for `name` as a child with this `PATH` and working directory would.
    pub(crate) fn find(
        name: OsString,
        path: impl FnOnce() -> Option<OsString>,
        directory: Option<&Path>,
    ) -> Result<Program, SpawnError> {
        let nul = || SpawnError::NulByte { what: "the program".into() };
        if name.is_empty() {
            return Err(SpawnError::NotFound { program: name, searched: None });
        }
        if name.as_bytes().contains(&b'/') {
            let only = CString::new(name.as_bytes()).map_err(|_| nul())?;
            return Ok(Program { name, searched: None, directory: directory.map(Into::into), candidates: vec![only] });
        }
        let path = path().unwrap_or_else(|| DEFAULT_PATH.into());
        let mut found = Vec::new();
        for entry in path.as_bytes().split(|byte| *byte == b':') {
            let mut file = Vec::with_capacity(entry.len() + 1 + name.len());
            // An empty entry is the working directory.
            file.extend_from_slice(if entry.is_empty() { b"." } else { entry });
            file.push(b'/');
            file.extend_from_slice(name.as_bytes());
            if is_file(&seen_from(directory, Path::new(OsStr::from_bytes(&file)))) {
                found.push(CString::new(file).map_err(|_| nul())?);
            }
        }
        if found.is_empty() {
            if name.as_bytes().contains(&0) {
                return Err(nul());
            }
            return Err(SpawnError::NotFound { program: name, searched: Some(path) });
        }
        Ok(Program { name, searched: Some(path), directory: directory.map(Into::into), candidates: found })
    }

    /// Exactly this file, in the working directory of this program.
    pub(crate) fn instead(&self, file: &CStr) -> Program {
        let name = OsStr::from_bytes(file.to_bytes()).to_owned();
        Program { name, searched: None, directory: self.directory.clone(), candidates: vec![file.to_owned()] }
    }

    /// Whether the next candidate is worth a try after this error, as for `execvp`.
    pub(crate) fn may_go_on(error: &io::Error) -> bool {
        matches!(
            error.raw_os_error(),
            Some(libc::EACCES | libc::ENOENT | libc::ESTALE | libc::ENOTDIR | libc::ENODEV | libc::ETIMEDOUT)
        )
    }

    /// Whether this candidate, which the kernel refused with `ENOEXEC`, looks like a script for the shell.
    pub(crate) fn is_script(&self, candidate: &CStr) -> bool {
        looks_like_script(&seen_from(self.directory.as_deref(), as_path(candidate)))
    }

    /// As [`Program::is_script`], for a process that is already in the child's working directory.
    pub(crate) fn is_script_here(candidate: &CStr) -> bool {
        looks_like_script(as_path(candidate))
    }

    /// Tells what is behind an error of starting `candidate`.
    pub(crate) fn explain(&self, candidate: usize, error: io::Error, numbers: Vec<i32>, bytes: usize) -> SpawnError {
        if let Some(explained) = self.directory.as_deref().and_then(explain_directory) {
            return explained;
        }
        let shown = match self.candidates.get(candidate) {
            Some(file) => as_path(file).to_owned(),
            None => self.name.clone().into(),
        };
        let seen = seen_from(self.directory.as_deref(), &shown);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if is_file(&seen) => SpawnError::InterpreterNotFound { program: shown },
            Some(libc::ENOENT | libc::ENOTDIR) => {
                SpawnError::NotFound { program: self.name.clone(), searched: self.searched.clone() }
            }
            Some(libc::EACCES | libc::EPERM | libc::EISDIR) if seen.is_dir() => {
                SpawnError::IsDirectory { program: shown }
            }
            Some(libc::EACCES | libc::EPERM) => SpawnError::NotExecutable { program: shown },
            Some(libc::ENOEXEC) => SpawnError::NotAProgram { program: shown },
            Some(libc::E2BIG) => SpawnError::ArgumentsTooLong { bytes },
            Some(libc::EBADF) => SpawnError::BadDescriptor { numbers },
            _ => SpawnError::system(format!("start {}", shown.display()), error),
        }
    }
}

/// A file as this process must name it to see what a child in `directory` would see.
fn seen_from(directory: Option<&Path>, file: &Path) -> PathBuf {
    directory.map_or_else(|| file.to_owned(), |directory| directory.join(file))
}

/// Whether there is something that is no directory. (A directory in `PATH` with the name of a program is passed over.)
fn is_file(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| !metadata.is_dir())
}

fn as_path(file: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(file.to_bytes()))
}

fn looks_like_script(file: &Path) -> bool {
    let mut head = Vec::new();
    // A binary for another machine has NUL bytes soon; an empty file is an empty script.
    File::open(file).and_then(|file| file.take(SCRIPT_PROBE).read_to_end(&mut head)).is_ok() && !head.contains(&0)
}

fn explain_directory(directory: &Path) -> Option<SpawnError> {
    let unusable = |source: io::Error| SpawnError::DirectoryUnusable { directory: directory.to_owned(), source };
    match directory.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(SpawnError::DirectoryNotFound { directory: directory.to_owned() })
        }
        Err(error) => Some(unusable(error)),
        Ok(metadata) if !metadata.is_dir() => Some(unusable(rustix::io::Errno::NOTDIR.into())),
        Ok(_) => rustix::fs::accessat(CWD, directory, Access::EXEC_OK, AtFlags::EACCESS)
            .err()
            .map(|errno| unusable(errno.into())),
    }
}

/// The string in the form of the system, or who holds the NUL byte.
pub(crate) fn c_string(value: OsString, what: impl FnOnce() -> String) -> Result<CString, SpawnError> {
    CString::new(value.into_vec()).map_err(|_| SpawnError::NulByte { what: what() })
}
