//! The settings of a child in a role, on their way into it; and its word if one was refused.
//!
//! ```text
//!   Role::spawn ── a nameless file ─► init(): Settings::apply ── refused ─► a pipe ─► Process::refusal
//! ```
//!
//! Only a role with settings has the file and the pipe. Nobody waits: whoever holds the [`Process`](crate::Process) asks
//! when the child has ended.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::PipeFlags;

use crate::descriptors::Descriptors;
use crate::settings::Settings;
use crate::{Error, nameless_file};

/// Name of the descriptor with the settings.
pub(crate) const SETTINGS: &str = "phalanx-settings";
/// Name of the descriptor for the child's word.
pub(crate) const REFUSAL: &str = "phalanx-refusal";

/// Most bytes of that word: what a pipe takes in one piece.
const MAX_REFUSAL: usize = 4096;

/// Settings, ready to be given to a child.
pub(crate) struct Orders {
    settings: OwnedFd,
    report: OwnedFd,
    report_to: OwnedFd,
}

impl Orders {
    /// `None` if there is nothing to set.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Orders>, Error> {
        if settings.is_nothing() {
            return Ok(None);
        }
        let settings = nameless_file::holding(settings)
            .map_err(|source| Error::system("write what a child shall set for itself", source))?;
        let (report, report_to) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|source| Error::system("create a pipe for a child's settings", source))?;
        Ok(Some(Orders { settings, report, report_to }))
    }

    /// The two descriptors that the child gets.
    pub(crate) fn for_the_child(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.settings.as_fd(), self.report_to.as_fd())
    }

    /// Our end of the pipe.
    pub(crate) fn into_report(self) -> OwnedFd {
        self.report
    }
}

/// In the child: sets what there is to set, and tells the parent what was refused.
pub(crate) fn follow(descriptors: &mut Descriptors) -> Result<(), Error> {
    let (Some(settings), Some(report_to)) = (descriptors.take(SETTINGS), descriptors.take(REFUSAL)) else {
        return Ok(());
    };
    let settings: Settings = nameless_file::read(settings)
        .map_err(|source| Error::BadRole { why: format!("its settings cannot be read: {source}") })?;
    settings.apply().map_err(|(what, source)| {
        let refused = Error::Setting { what, source };
        let words = refused.to_string();
        let _ = rustix::io::write(&report_to, &words.as_bytes()[..words.len().min(MAX_REFUSAL)]);
        refused
    })?;
    if settings.user.is_some() || settings.group.is_some() {
        // As after an exec by that user. The process has nothing from before the change but its arguments.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
    }
    Ok(())
}

/// In the parent: the child's word, if it left one.
pub(crate) fn read(report: &OwnedFd) -> Option<String> {
    let mut words = vec![0; MAX_REFUSAL];
    match rustix::io::read(report, &mut words) {
        Ok(count) if count > 0 => Some(String::from_utf8_lossy(&words[..count]).into_owned()),
        _ => None,
    }
}
