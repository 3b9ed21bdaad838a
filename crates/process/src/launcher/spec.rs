//! What the launcher is told, and what it reports.

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// What is set inside a child before its program runs. Nothing, usually; then there is no launcher.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) settings: Settings,
    pub(crate) die_with_parent: bool,
    pub(crate) listen_pid: bool,
    pub(crate) keeper: bool,
}

impl Inside {
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Inside::default()
    }
}

/// Everything that the launcher must know; its own environment is already that of the program.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Files to try, best first.
    pub(crate) candidates: Vec<Vec<u8>>,
    pub(crate) arguments: Vec<Vec<u8>>,
    /// Descriptors above the standard streams that the program shall have.
    pub(crate) keep: Vec<RawFd>,
    pub(crate) inside: Inside,
    /// The role that the program is started in, if it is one of ours.
    pub(crate) role: Option<String>,
    /// Process id of who asked.
    pub(crate) parent: u32,
}

/// What went wrong between the start of the launcher and the program. No report is good news.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Something could not be set.
    Setting { what: String, errno: i32 },
    /// No candidate could be executed; this one says why.
    Exec { candidate: usize, errno: i32 },
    /// The parent ended meanwhile, so nothing was started.
    ParentGone,
}

/// Most bytes of an encoded [`Report`], so that it goes into a pipe in one piece.
pub(crate) const MAX_REPORT: usize = 4096;
