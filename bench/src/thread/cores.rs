//! Where the two sides run.

use measuring::{Failure, stay_on};

/// The core of the side that measures, and of the other; they may be one.
///
/// What looks for a while before it sleeps does so only if there is a second core, and asks how many there are when it is
/// first used. So with a core each, both sides are made while all cores are allowed, as in a server, and pinned then; on
/// one core, they never know of another, as under `taskset`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) own: usize,
    pub(crate) peer: usize,
}

impl Cores {
    /// At the start of a process.
    pub(crate) fn hide_what_nobody_uses(self) -> Result<(), Failure> {
        if self.own == self.peer { stay_on(self.own) } else { Ok(()) }
    }
}
