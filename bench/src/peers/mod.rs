//! The servers that are measured: how each is started, told apart and ended.

#[cfg(test)]
mod answers;
mod catalogue;
mod measuring;
mod nginx;
mod programs;
mod running;

pub(crate) use catalogue::{
    Contender, Side, built_beside_us, crate_version, find_program, first_line, node_program, node_script,
    node_script_with_packages, node_version, package_version, phalanx_serve_of, phalanx_version, rustc_version,
};
pub(crate) use measuring::figures;
pub(crate) use programs::{DONE, GO, LINE, Supervisor};
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
    pub(crate) ready: Ready,
    pub(crate) output: Output,
    /// Only if the process that is started is not the server itself.
    pub(crate) daemon: Option<Daemon>,
    /// For its files; gone when the server is.
    pub(crate) folder: TempDir,
}

impl Launch {
    /// A server whose process is the one that is started.
    pub(crate) fn new(
        program: PathBuf,
        arguments: Vec<OsString>,
        environment: Vec<(&'static str, OsString)>,
        ready: Ready,
        folder: TempDir,
    ) -> Self {
        Self { program, arguments, environment, ready, output: Output::Log, daemon: None, folder }
    }
}

/// When a server has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// This path is answered.
    Answers(&'static str),
    /// So many processes below it are this program.
    Processes(&'static str, usize),
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers(path) => write!(f, "answer to GET {path}"),
            Self::Processes(program, count) => write!(f, "{count} processes of {program}"),
        }
    }
}

/// What becomes of what a server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// It goes to a file, which is shown if the server does not start.
    Log,
    /// It goes into a pipe that nobody reads.
    Unread,
}

/// A server in the background: the command that starts it ends before it does.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    pub(crate) pid_file: PathBuf,
    /// What the same program is told to end it.
    pub(crate) end: &'static [&'static str],
}

impl Daemon {
    fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()
    }
}

/// Why a server cannot be measured here.
#[derive(Clone, Debug)]
pub(crate) struct Absent(pub(crate) String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
