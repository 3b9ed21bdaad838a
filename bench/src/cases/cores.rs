//! Where the two sides of a pair run.

use rustix::thread::{CpuSet, sched_getaffinity};

use crate::peers::Absent;

/// A core for each side, or one for both. A figure without this says nothing: to wake a process on another core costs
/// ten times what it costs on one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Placement {
    CoreEach,
    OneCore,
}

/// The cores that a bench may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    first: usize,
    second: Option<usize>,
}

impl Cores {
    pub(crate) fn allowed() -> Self {
        let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
        Self { first: cores.next().unwrap_or(0), second: cores.next() }
    }

    /// The core of the side that measures, and of the other.
    pub(crate) fn of(self, placement: Placement) -> Result<(usize, usize), Absent> {
        match (placement, self.second) {
            (Placement::OneCore, _) => Ok((self.first, self.first)),
            (Placement::CoreEach, Some(second)) => Ok((self.first, second)),
            (Placement::CoreEach, None) => Err(Absent("only one core may be used here".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_share_a_core_only_when_they_are_to() {
        let cores = Cores { first: 2, second: Some(5) };
        assert_eq!(cores.of(Placement::CoreEach).unwrap(), (2, 5));
        assert_eq!(cores.of(Placement::OneCore).unwrap(), (2, 2));
        assert!(Cores { first: 0, second: None }.of(Placement::CoreEach).is_err());
    }
}
