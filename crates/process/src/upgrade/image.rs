//! Which file this process runs, and which one it would run if it were started now.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

use crate::Error;
use crate::role::THIS_EXECUTABLE;

/// What the kernel appends to the name of a file that was removed.
const REMOVED: &[u8] = b" (deleted)";

/// Where a relative path in our first argument starts from.
static STARTED_IN: OnceLock<PathBuf> = OnceLock::new();

/// Called first of all: the working directory may change later.
pub(crate) fn remember_start() {
    if let Some(name) = std::env::args_os().next().filter(|name| name.as_bytes().contains(&b'/'))
        && Path::new(&name).is_relative()
        && let Ok(directory) = std::env::current_dir()
    {
        let _ = STARTED_IN.set(directory);
    }
}

/// The running image, also when its file is replaced or removed: kept, it can be executed again to roll back.
pub fn this_image() -> Result<OwnedFd, Error> {
    rustix::fs::open(THIS_EXECUTABLE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| Error::system("open the running executable", source))
}

/// The file that this program would be if it were started now, as it was started before: the path in its first
/// argument, or the first of that name in `PATH`, or, if neither exists, where the running file was.
///
/// Errors: none of these is a file that may be executed.
pub fn image_on_disk() -> Result<PathBuf, Error> {
    let link = std::fs::read_link(Path::new(std::ffi::OsStr::from_bytes(THIS_EXECUTABLE.to_bytes())))
        .map_err(|source| Error::system("read where the running executable was", source))?;
    let name = std::env::args_os().next().unwrap_or_default();
    find(&name, std::env::var_os("PATH"), STARTED_IN.get().map(PathBuf::as_path), &link).ok_or_else(|| {
        let was = without_removed(&link);
        let (what, why) = match was.is_file() {
            true => (format!("use {} as the program: it is not executable (chmod +x)", was.display()), libc::EACCES),
            false => (
                format!("find the program on disk: neither \"{}\" nor {}", name.display(), was.display()),
                libc::ENOENT,
            ),
        };
        Error::system(what, std::io::Error::from_raw_os_error(why))
    })
}

fn find(name: &OsString, path: Option<OsString>, started_in: Option<&Path>, link: &Path) -> Option<PathBuf> {
    let by_path = || {
        let file = Path::new(name);
        Some(started_in.map_or_else(|| file.to_owned(), |directory| directory.join(file)))
    };
    let by_search = || {
        let path = path?;
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| is_program(file))
    };
    let has_slash = name.as_bytes().contains(&b'/');
    let named = if has_slash { by_path() } else { by_search() };
    named.into_iter().chain([without_removed(link)]).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
        && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

fn without_removed(link: &Path) -> PathBuf {
    let bytes = link.as_os_str().as_bytes();
    PathBuf::from(OsString::from_vec(bytes.strip_suffix(REMOVED).unwrap_or(bytes).to_vec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(directory: &Path, name: &str) -> PathBuf {
        let file = directory.join(name);
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn the_file_is_found_as_the_shell_found_it() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (program(folder.path(), "here"), program(folder.path(), "there"));
        let path = || Some(OsString::from(folder.path()));
        let gone = PathBuf::from("/nowhere/here (deleted)");
        // A path, absolute or from where it was started; else the search; else where the file was.
        assert_eq!(find(&here.clone().into(), None, None, &there), Some(here.clone()));
        assert_eq!(find(&"./here".into(), None, Some(folder.path()), &there), Some(folder.path().join("./here")));
        assert_eq!(find(&"here".into(), path(), None, &gone), Some(here));
        assert_eq!(find(&"missing".into(), path(), None, &there), Some(there.clone()));
        let replaced = PathBuf::from(format!("{} (deleted)", there.display()));
        assert_eq!(find(&"missing".into(), path(), None, &replaced), Some(there));
        assert_eq!(find(&"missing".into(), path(), None, &gone), None);
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        std::fs::write(&file, "").unwrap();
        assert!(!is_program(&file) && !is_program(folder.path()));
    }
}
