//! A worker process of the invented world: what it is, what it was told, and how it will behave.

use super::super::{Birth, Now};

/// How a process behaves when it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It does what it should.
    Well,
    /// It never becomes ready.
    Slow,
    /// It says why and exits before it is ready.
    Broken,
    /// It becomes ready and dies at once.
    Fleeting,
    /// It is ready, and its event loop stands still.
    Hanging,
    /// Its gate says no.
    Ill,
    /// Its gate says nothing.
    Mute,
    /// It takes more and more memory.
    Fat,
    /// It does not leave when it is told to.
    Stubborn,
}

pub(super) const MOODS: [Mood; 12] = [
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Well,
    Mood::Slow,
    Mood::Broken,
    Mood::Fleeting,
    Mood::Hanging,
    Mood::Ill,
    Mood::Mute,
    Mood::Fat,
    Mood::Stubborn,
];

#[derive(Debug)]
pub(super) struct Body {
    pub(super) birth: Birth,
    pub(super) born: Now,
    pub(super) mood: Mood,
    /// Since when it is ready.
    pub(super) ready: Option<Now>,
    pub(super) admitted: bool,
    /// Since when its gate is asked.
    pub(super) probed: Option<Now>,
    pub(super) healthy: bool,
    /// Since when it is told to leave.
    pub(super) leaving: Option<Now>,
    /// Since when its stacks are being dumped.
    pub(super) dumped: Option<Now>,
    pub(super) killed: bool,
    pub(super) beat: u64,
    pub(super) requests: u64,
    pub(super) bytes: u64,
}

impl Body {
    pub(super) fn new(birth: Birth, born: Now, mood: Mood) -> Body {
        Body {
            birth,
            born,
            mood,
            ready: None,
            admitted: !birth.held,
            probed: None,
            healthy: false,
            leaving: None,
            dumped: None,
            killed: false,
            beat: 0,
            requests: 0,
            bytes: 1,
        }
    }

    /// Whether somebody who connects is served by it, or would be if it did not hang.
    pub(super) fn serves(&self) -> bool {
        self.ready.is_some() && self.admitted && self.leaving.is_none() && !self.killed
    }

    pub(super) fn drains(&self) -> bool {
        self.leaving.is_some() && !self.killed
    }
}
