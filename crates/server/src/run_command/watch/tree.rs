//! [`Tree`]: every folder below what is watched, in the kernel's eyes (inotify).
//!
//! The kernel watches folders, not trees: a folder that appears is added when it is seen, and then looked through, for what is in there
//! already. When the kernel's queue overflows, all is looked through again, and that counts as a change.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::Watch;

/// Buffer for events.
const EVENTS_BYTES: usize = 16 * 1024;

/// What is watched.
#[derive(Debug)]
pub(in crate::run_command) struct Tree {
    inotify: OwnedFd,
    watch: Watch,
    /// What the kernel's numbers mean.
    folders: HashMap<i32, PathBuf>,
}

impl Tree {
    /// Begins to watch.
    pub(in crate::run_command) fn new(watch: Watch) -> Result<Tree, String> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|error| format!("watch: cannot watch files: {error}"))?;
        let mut tree = Tree { inotify, watch, folders: HashMap::new() };
        tree.look_through_all()?;
        Ok(tree)
    }

    /// What changed since the last call, one example of it; nothing if nothing that counts.
    pub(in crate::run_command) fn changed(&mut self) -> Option<PathBuf> {
        let mut first = None;
        for seen in self.seen() {
            match seen {
                Seen::Lost => {
                    // Watches are kept; folders that appeared meanwhile are found.
                    let _ = self.look_through_all();
                    first.get_or_insert_with(|| self.watch.base.clone());
                }
                Seen::Gone(number) => drop(self.folders.remove(&number)),
                Seen::Change { path, is_new_folder } if self.is_ours(&path) => {
                    if is_new_folder {
                        let _ = self.look_through(&path);
                    }
                    first.get_or_insert(path);
                }
                Seen::Change { .. } => {}
            }
        }
        first
    }

    /// All that the kernel tells now.
    fn seen(&self) -> Vec<Seen> {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut seen = Vec::new();
        while let Ok(event) = reader.next() {
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                seen.push(Seen::Lost);
            } else if what.contains(ReadFlags::IGNORED) {
                seen.push(Seen::Gone(event.wd()));
            } else if let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) {
                let path = folder.join(OsStr::from_bytes(name.to_bytes()));
                let appeared = what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                seen.push(Seen::Change { path, is_new_folder: appeared && what.contains(ReadFlags::ISDIR) });
            }
        }
        seen
    }

    /// Below what was asked for, and not ignored.
    fn is_ours(&self, path: &Path) -> bool {
        self.watch.paths.iter().any(|asked| path.starts_with(asked)) && self.watch.counts(path)
    }

    fn look_through_all(&mut self) -> Result<(), String> {
        for path in self.watch.paths.clone() {
            match path.is_dir() {
                true => self.look_through(&path)?,
                // Editors replace files: the folder sees it.
                false => self.add(path.parent().unwrap_or(&path))?,
            }
        }
        Ok(())
    }

    /// Adds a folder and all below it, but for what does not count.
    fn look_through(&mut self, folder: &Path) -> Result<(), String> {
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            self.add(&folder)?;
            // What is gone by now needs no watch.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(folders.map(|entry| entry.path()).filter(|path| self.watch.counts(path)));
        }
        Ok(())
    }

    fn add(&mut self, folder: &Path) -> Result<(), String> {
        let changes = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        match inotify::add_watch(&self.inotify, folder, changes | WatchFlags::ONLYDIR) {
            Ok(number) => {
                self.folders.insert(number, folder.to_owned());
                Ok(())
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(Errno::NOSPC) => Err(format!(
                "watch: more folders than this user may watch ({} so far, fs.inotify.max_user_watches); watch fewer, or leave some \
                 out with --ignore-watch",
                self.folders.len()
            )),
            Err(error) => Err(format!("watch: cannot watch {}: {error}", folder.display())),
        }
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// What the kernel says.
enum Seen {
    /// It had too much to say.
    Lost,
    /// It watches this no more.
    Gone(i32),
    Change {
        path: PathBuf,
        is_new_folder: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(folder: &Path, paths: &[&str], ignored: &[&str]) -> Tree {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let ignored: Vec<String> = ignored.iter().map(|text| (*text).to_owned()).collect();
        Tree::new(Watch::check(&paths, &ignored, folder).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_change_anywhere_below_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        let mut tree = tree(folder.path(), &[""], &["*.log"]);
        assert_eq!(tree.changed(), None);
        fs::write(folder.path().join("src/deep/app.js"), "1").unwrap();
        assert_eq!(tree.changed(), Some(folder.path().join("src/deep/app.js")));
        assert_eq!(tree.changed(), None);
        fs::write(folder.path().join("src/out.log"), "1").unwrap();
        assert_eq!(tree.changed(), None);
        fs::rename(folder.path().join("src/deep/app.js"), folder.path().join("src/app.js")).unwrap();
        assert!(tree.changed().is_some());
    }

    #[test]
    fn a_folder_that_appears_is_watched_with_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = tree(folder.path(), &[""], &[]);
        fs::create_dir_all(folder.path().join("new/inner")).unwrap();
        assert!(tree.changed().is_some());
        fs::write(folder.path().join("new/inner/file"), "1").unwrap();
        assert_eq!(tree.changed(), Some(folder.path().join("new/inner/file")));
        fs::remove_dir_all(folder.path().join("new")).unwrap();
        assert!(tree.changed().is_some());
        assert_eq!(tree.folders.len(), 1, "what is gone is forgotten");
    }

    #[test]
    fn a_file_may_be_watched_alone_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("app.js"), "1").unwrap();
        let mut tree = tree(folder.path(), &["app.js"], &[]);
        fs::write(folder.path().join("other"), "1").unwrap();
        assert_eq!(tree.changed(), None);
        fs::write(folder.path().join(".new"), "2").unwrap();
        fs::rename(folder.path().join(".new"), folder.path().join("app.js")).unwrap();
        assert_eq!(tree.changed(), Some(folder.path().join("app.js")));
    }
}
