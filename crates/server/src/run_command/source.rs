//! [`Source`]: where what is known of an app comes from, so that a reload can look again.

use std::fmt;
use std::path::PathBuf;

use super::app::{App, Wrong};
use super::file::File;
use super::options::Options;
use crate::start;

/// Of one app.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// The command line, typed in this folder.
    Typed { options: Box<Options>, folder: PathBuf },
    /// The table of this name in a file.
    Table { file: PathBuf, name: String },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Typed { .. } => f.write_str("the command line"),
            Source::Table { file, .. } => write!(f, "{}", file.display()),
        }
    }
}

impl Source {
    /// What the app is called.
    pub(super) fn name(&self) -> String {
        match self {
            Source::Typed { options, .. } => options.name.clone().unwrap_or_else(|| options.usual_name()),
            Source::Table { name, .. } => name.clone(),
        }
    }

    /// The app as it is said now.
    pub(super) fn read(&self) -> Result<App, Wrong> {
        match self {
            Source::Typed { options, folder } => App::check(options, folder, start::machine().cores),
            Source::Table { file, name } => File::read(file)?.app(name),
        }
    }
}
