//! Without the feature `program` no worker is a program, and there is no attendant.

use std::path::PathBuf;
use std::time::Instant;

use super::Primary;
use crate::{Distribution, WorkerId};

/// Never made.
#[derive(Debug)]
pub(super) enum Attendant {}

impl Attendant {
    pub(super) fn new(_: Distribution, _: Option<PathBuf>) -> Attendant {
        unreachable!("only programs have an attendant, and there is no way to ask for programs")
    }

    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match *self {}
    }

    pub(super) fn unseat(&mut self, _: WorkerId) {
        match *self {}
    }

    pub(super) fn is_ready(&mut self, _: WorkerId) -> bool {
        match *self {}
    }

    pub(super) fn tick(&mut self) {
        match *self {}
    }

    pub(super) fn finish(&mut self) {
        match *self {}
    }
}

impl Primary {
    pub(super) fn tend_attendant(&mut self) {}

    pub(super) fn attendant_ended(&mut self) {}
}
