//! [`NewFlow`]: split → map → gather.

use serde::{Deserialize, Serialize};

use super::NewJob;

/// Children that run anywhere, in any order, and the job that gets their results, in their order.
///
/// The store keeps **which** children have ended (a set of indices, never a countdown), so a child that is reported twice counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFlow {
    /// The children, in the order in which the gatherer gets their results. 1 to 10 000.
    pub children: Vec<NewJob>,
    /// Runs when all children have ended.
    pub gather: NewJob,
    /// What a dead child means.
    pub on_failure: OnFailure,
}

/// What happens when a child is dead or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnFailure {
    /// The parent is dead at once with the child's error; children that wait are cancelled, those that run are told.
    #[default]
    FailFast,
    /// The others go on; the gatherer gets the error in the child's place.
    Collect,
}

/// How a child ended, as its parent gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildEnd {
    /// Its result.
    Done(#[serde(with = "crate::bytes")] Vec<u8>),
    /// Its error, packed.
    Failed(Vec<u8>),
}
