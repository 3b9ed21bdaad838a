//! A cluster that was built without a front process.

use std::os::fd::OwnedFd;
use std::time::Instant;

use super::Primary;
use super::operations::Operation;
use crate::control::HeapFigures;
use crate::{Error, Event, WorkerId};

/// What nobody can ask for.
#[derive(Debug, Default, Clone)]
pub(crate) struct FrontSettings;

/// What there never is.
pub(super) struct Front(std::convert::Infallible);

/// What a worker writes goes where the primary's own output goes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Front {
    pub(super) fn open(_: FrontSettings, _: Option<OwnedFd>, _: Option<OwnedFd>) -> Result<Option<Front>, Error> {
        Ok(None)
    }

    pub(super) fn kept(&self) -> (Option<std::os::fd::BorrowedFd<'_>>, Option<std::os::fd::BorrowedFd<'_>>) {
        match self.0 {}
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.0 {}
    }

    pub(super) fn pipes(&self) -> Result<Option<(Pipes, OwnedFd, OwnedFd)>, Error> {
        match self.0 {}
    }

    pub(super) fn event(&mut self, _: &Event) {}

    pub(super) fn status_changed(&mut self) {}

    pub(super) fn worker(&mut self, _: WorkerId, _: Option<&Pipes>) {}

    pub(super) fn await_line(&mut self, _: WorkerId, _: &str) {}

    pub(super) fn gone(&mut self, _: WorkerId) {}

    pub(super) fn operation(&mut self, _: &Operation) {}

    pub(super) fn dismiss(&mut self) {}

    pub(super) fn finish(self) {}
}

impl Primary {
    pub(super) fn start_front(&mut self) {}

    pub(super) fn tell_front_of_page(&mut self, _: usize) {}

    pub(super) fn pump_front(&mut self) {}

    pub(super) fn take_front(&mut self) {}

    pub(super) fn reap_front(&mut self) {}

    pub(super) fn heap_profiled(&mut self, _: WorkerId, _: u64, _: Result<HeapFigures, String>) {}
}
