//! The servers that are measured: how each is started, told apart and ended.

#[cfg(test)]
mod answers;
mod catalogue;
mod measuring;
mod nginx;
mod running;

pub(crate) use catalogue::{
    Contender, Side, built_beside_us, crate_version, find_program, first_line, node_program, node_script,
    node_script_with_packages, node_version, package_version, phalanx_serve_of, phalanx_version, rustc_version,
};
pub(crate) use measuring::figures;
pub(crate) use running::Running;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use tempfile::TempDir;

/// How to start one server.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// A path that answers as soon as the server does.
    pub(crate) ready_path: &'static str,
    /// For its files; gone when the server is.
    pub(crate) folder: TempDir,
}

/// Why a server cannot be measured here.
#[derive(Clone, Debug)]
pub(crate) struct Absent(pub(crate) String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
