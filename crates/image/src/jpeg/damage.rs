//! What becomes of a damaged file: an error, or as much of the picture as there is and a list of what is wrong.
//!
//! Damage to headers and tables is an error either way: without them there is no picture. Damage to the picture data (it ends early, a code
//! stands in no table, restart markers are missing) is an error under [`Damage::Refuse`] and a [`Warning`] under [`Damage::Keep`].
//!
//! The outcomes under `Keep` are libjpeg's, with these exceptions: a run that points beyond its block, and a component without any data, are
//! warnings here and nothing there; what a decoder does not read it does not judge, so damage in a progressive scan that the scale does not
//! need stays unnoticed; sampling ratios that are no whole numbers are decoded here and an error there.

use std::fmt;

use super::intervals::Interval;
use crate::Error;

/// What to do about damaged picture data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Damage {
    /// The file is refused: [`Error::Damaged`].
    #[default]
    Refuse,
    /// What can be read is kept, the rest is grey (or, of a progressive file, less sharp), and each fault is a [`Warning`]; so does libjpeg.
    Keep,
}

/// A fault of a file that was decoded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Warning {
    /// What is wrong.
    pub what: &'static str,
    /// Where it was noticed: bytes from the start of the file.
    pub at: u64,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, noticed at byte {}", self.what, self.at)
    }
}

/// What is said of entropy-coded data that ends early or makes no sense.
pub(super) const BROKEN_DATA: &str = "JPEG picture data is missing or invalid";

/// What is said when the blocks are complete before the data is.
const SUPERFLUOUS: &str = "JPEG picture data has bytes left over";
/// Bytes left over that nobody is told of: libjpeg's bit buffer hides up to seven, as chance has it.
const PARDONED_BYTES: usize = 4;

/// Faults that are listed at most: a file can have one for each of its bytes.
pub(super) const MOST_WARNINGS: usize = 16;

/// The faults so far, and what to do about them.
#[derive(Debug)]
pub(super) struct Faults {
    damage: Damage,
    pub(super) warnings: Vec<Warning>,
}

impl Faults {
    pub(super) fn new(damage: Damage) -> Self {
        Self { damage, warnings: Vec::new() }
    }

    pub(super) fn are_kept(&self) -> bool {
        self.damage == Damage::Keep
    }

    /// Takes note of a fault, or refuses the file.
    pub(super) fn note(&mut self, what: &'static str, at: usize) -> Result<(), Error> {
        if self.damage == Damage::Refuse {
            return Err(Error::damaged(what));
        }
        if self.warnings.len() < MOST_WARNINGS {
            self.warnings.push(Warning { what, at: at as u64 });
        }
        Ok(())
    }

    /// Faults of nothing yet, with the same answer to them: for a part of the same picture.
    pub(super) fn of_part(&self) -> Self {
        Self::new(self.damage)
    }

    /// Takes note of what is wrong with a later part.
    pub(super) fn append(&mut self, later: impl IntoIterator<Item = Warning>) {
        let room = MOST_WARNINGS - self.warnings.len();
        self.warnings.extend(later.into_iter().take(room));
    }

    /// Takes note of how the decoding of an interval ended: with so many bytes left over, or with an error. What is no matter of damage stays
    /// an error.
    pub(super) fn judge(&mut self, interval: &Interval<'_>, result: Result<usize, Error>) -> Result<(), Error> {
        if let Some(problem) = interval.problem {
            self.note(problem, interval.at)?;
        }
        match result {
            Err(Error::Damaged { .. }) => self.note(BROKEN_DATA, interval.at),
            Err(error) => Err(error),
            // Some writers leave a few bytes; refusing their files would help nobody.
            Ok(unread) if unread > PARDONED_BYTES && self.are_kept() => self.note(SUPERFLUOUS, interval.at),
            Ok(_) => Ok(()),
        }
    }
}
