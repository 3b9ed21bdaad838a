//! The settings of a child in a role, on their way into it; and its word if one was refused.
//!
//! ```text
//!   Role::spawn ── a nameless file ─► init(): apply, confine ── refused ─► a pipe ─► Process::refusal
//! ```
//!
//! Only a role with settings has the file and the pipe. Nobody waits: whoever holds the [`Process`](crate::Process) asks
//! when the child has ended.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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

/// In the child: what it is to set, and where to tell what was refused.
pub(crate) struct Received {
    settings: Settings,
    report_to: OwnedFd,
}

impl Received {
    /// `None` if there is nothing to set.
    pub(crate) fn take(descriptors: &mut Descriptors) -> Result<Option<Received>, Error> {
        let (Some(settings), Some(report_to)) = (descriptors.take(SETTINGS), descriptors.take(REFUSAL)) else {
            return Ok(None);
        };
        let settings = nameless_file::read(settings)
            .map_err(|source| Error::BadRole { why: format!("its settings cannot be read: {source}") })?;
        Ok(Some(Received { settings, report_to }))
    }

    /// Sets what there is to set, but for the sandbox.
    pub(crate) fn apply(&self) -> Result<(), Error> {
        let applied = self.settings.apply();
        applied.map_err(|(what, source)| self.told(Error::Setting { what, source }))?;
        if self.settings.user.is_some() || self.settings.group.is_some() {
            // As after an exec by that user. The process has nothing from before the change but its arguments.
            let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
        }
        Ok(())
    }

    /// Goes into the sandbox, if there is one, with these descriptors.
    pub(crate) fn confine(self, descriptors: &Descriptors) -> Result<(), Error> {
        let Some(order) = self.settings.sandbox else { return Ok(()) };
        let mut kept = descriptors.numbers();
        kept.push(self.report_to.as_raw_fd());
        order.follow(&kept).map_err(|error| self.told(error))
    }

    /// Tells the parent of an error.
    fn told(&self, refused: Error) -> Error {
        let words = refused.to_string();
        let _ = rustix::io::write(&self.report_to, &words.as_bytes()[..words.len().min(MAX_REFUSAL)]);
        refused
    }
}

/// In the parent: the child's word, if it left one.
pub(crate) fn read(report: &OwnedFd) -> Option<String> {
    let mut words = vec![0; MAX_REFUSAL];
    match rustix::io::read(report, &mut words) {
        Ok(count) if count > 0 => Some(String::from_utf8_lossy(&words[..count]).into_owned()),
        _ => None,
    }
}
