//! The few things that are done with the tree of control groups, behind a trait so that tests can stand in for the kernel.

use std::io;
use std::path::Path;

use crate::files::{Files, Machine};

/// Folders that are groups, and files that are their settings.
pub(super) trait Tree: Files + Send + Sync {
    /// Makes a group.
    fn make(&self, folder: &Path) -> io::Result<()>;

    /// Removes one that holds neither processes nor groups.
    fn remove(&self, folder: &Path) -> io::Result<()>;

    /// Writes a setting that exists.
    fn write(&self, file: &Path, text: &str) -> io::Result<()>;

    /// The names of the groups in this one.
    fn groups_in(&self, folder: &Path) -> Vec<String>;
}

impl Tree for Machine {
    fn make(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir(folder)
    }

    fn remove(&self, folder: &Path) -> io::Result<()> {
        std::fs::remove_dir(folder)
    }

    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).open(file)?;
        io::Write::write_all(&mut file, text.as_bytes())
    }

    fn groups_in(&self, folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}
