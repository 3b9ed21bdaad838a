//! Names for things that would otherwise all be numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a worker process in its cluster: from 1, in order of start, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(u32);

impl WorkerId {
    pub(crate) fn new(number: u32) -> WorkerId {
        WorkerId(number)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a place in the cluster: a logical seat, from 0, that a worker takes and its replacement takes over, with its
/// environment, its own listening socket (if it has one) and its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(pub u16);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Most slots of a cluster: what a permit's owner word can tell apart.
pub(crate) const MAX_SLOTS: usize = u16::MAX as usize;
