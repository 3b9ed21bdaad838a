//! Where apps leave what others look for: control sockets, log files.
//!
//! Control sockets are in one folder for each user, which nobody else may enter, so that `phalanx ctl` finds them by the name of the
//! app: `$RUNTIME_DIRECTORY` (of a service), `$XDG_RUNTIME_DIR/phalanx`, else `/run/phalanx` for root, else `/tmp/phalanx-UID`.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::program::check_name;
use crate::start::Failure;

/// Only the owner.
const PRIVATE: u32 = 0o700;
/// Bits of a mode that let anybody else put something there.
const OTHERS: u32 = 0o022;
/// What the names of sockets end with.
const SOCKET: &str = "sock";
/// Root's own folder; services that run as others have folders of their own in it.
const SYSTEM: &str = "/run/phalanx";
const ROOT: u32 = 0;

/// The control socket of the app of this name, wherever it is; where a new one would be, if there is none. An error if that is no name.
pub(crate) fn socket_of(name: &str) -> Result<PathBuf, Failure> {
    check_name(name).map_err(Failure::Setting)?;
    let file = format!("{name}.{SOCKET}");
    let existing = searched().into_iter().map(|folder| folder.join(&file)).find(|path| path.exists());
    Ok(existing.unwrap_or_else(|| new_socket(name)))
}

/// Where the socket of a new app of this name will be.
pub(super) fn new_socket(name: &str) -> PathBuf {
    folders().swap_remove(0).join(format!("{name}.{SOCKET}"))
}

/// All sockets of apps, with the names of the apps, in order; folders that are not ours alone are left out.
pub(crate) fn sockets() -> Vec<(String, PathBuf)> {
    let folders = searched().into_iter().filter(|folder| is_private(folder).is_ok());
    let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut sockets: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == SOCKET))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    sockets.sort();
    sockets
}

/// Makes the folder of a socket, if it is one of ours, and checks that it is nobody else's.
pub(super) fn prepare(socket: &Path) -> Result<(), String> {
    let Some(folder) = socket.parent().filter(|folder| folders().iter().any(|ours| ours == folder)) else {
        return Ok(());
    };
    match DirBuilder::new().mode(PRIVATE).recursive(true).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(format!(
            "cannot make the folder {} for control sockets: {error}; name a place with --control",
            folder.display()
        )),
        _ => is_private(folder).map_err(|why| format!("{why}; remove it, or name another place with --control")),
    }
}

/// Where the log of a background app goes: `$XDG_STATE_HOME/phalanx/NAME.log`, else in `~/.local/state`; `/var/log/phalanx` for root.
pub(super) fn log_file(name: &str) -> Result<PathBuf, String> {
    let state = absolute("XDG_STATE_HOME").or_else(|| match is_root() {
        true => Some("/var/log".into()),
        false => absolute("HOME").map(|home| home.join(".local/state")),
    });
    let folder = state.ok_or("there is no HOME to keep a log file in: name one with --log-file")?.join("phalanx");
    let made = DirBuilder::new().mode(PRIVATE).recursive(true).create(&folder);
    made.map_err(|error| {
        format!("cannot make the folder {} for the log: {error}; name a file with --log-file", folder.display())
    })?;
    Ok(folder.join(format!("{name}.log")))
}

/// All folders in which sockets may be, those of services included.
fn searched() -> Vec<PathBuf> {
    let mut all = folders();
    let inner = std::fs::read_dir(SYSTEM).into_iter().flatten().flatten();
    all.extend(inner.map(|entry| entry.path()).filter(|path| path.is_dir()));
    all.sort();
    all.dedup();
    all
}

/// The folders of our own sockets: a new one goes into the first.
fn folders() -> Vec<PathBuf> {
    // Of a service of systemd that says RuntimeDirectory=.
    let service =
        absolute("RUNTIME_DIRECTORY").filter(|folders| !folders.as_os_str().as_encoded_bytes().contains(&b':'));
    let session = absolute("XDG_RUNTIME_DIR").map(|runtime| runtime.join("phalanx"));
    let usual = match rustix::process::geteuid() {
        user if user.is_root() => SYSTEM.into(),
        user => format!("/tmp/phalanx-{}", user.as_raw()).into(),
    };
    service.into_iter().chain(session).chain([usual]).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A path from the environment; the specification of these variables says that one that is not absolute does not count.
fn absolute(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Whether a folder belongs to us and lets in nobody else.
fn is_private(folder: &Path) -> Result<(), String> {
    let about = std::fs::symlink_metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let us = rustix::process::geteuid().as_raw();
    match () {
        () if !about.is_dir() => Err(format!("{} is no folder", folder.display())),
        () if about.uid() != us && us != ROOT => {
            Err(format!("{} belongs to user {}, not to {us}", folder.display(), about.uid()))
        }
        () if about.mode() & OTHERS != 0 => {
            Err(format!("{} has mode {:o}: others may write there", folder.display(), about.mode() & 0o777))
        }
        () => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_may_write_to_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(is_private(folder.path()), Ok(()));
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o775)).unwrap();
        assert!(is_private(folder.path()).unwrap_err().contains("mode 775"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(is_private(&link).unwrap_err().contains("is no folder"));
    }

    #[test]
    fn a_socket_elsewhere_is_the_users_own_business() {
        assert_eq!(prepare(Path::new("/no/such/folder/app.sock")), Ok(()));
    }
}
