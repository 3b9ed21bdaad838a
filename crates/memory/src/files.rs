//! The few files that this crate reads, behind a trait so that tests can stand in for any machine.

use std::path::Path;

/// Text files by path; an absent or unreadable one is `None`.
pub(crate) trait Files {
    fn read(&self, path: &Path) -> Option<String>;
}

/// The files of the machine we run on.
pub(crate) struct Machine;

impl Files for Machine {
    fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }
}

/// A machine made of text.
#[cfg(test)]
pub(crate) struct Written(pub(crate) &'static [(&'static str, &'static str)]);

#[cfg(test)]
impl Files for Written {
    fn read(&self, path: &Path) -> Option<String> {
        let found = self.0.iter().find(|(written, _)| Path::new(written) == path)?;
        Some(found.1.to_owned())
    }
}
