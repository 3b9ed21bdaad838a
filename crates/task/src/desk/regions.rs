//! [`Regions`]: which bytes of a file are in use. A plain structure; the lowest free place is taken, so warm pages are used again.

use std::collections::BTreeMap;

/// Regions begin here: no two share a page, so each can be given back alone.
const PAGE_BYTES: u64 = 4096;
/// More are never in use at one time: what a process keeps of its inputs for ever must not make each search long.
const MOST_REGIONS: usize = 1024;
/// So much of a file, from its start, stays warm when nothing lies there.
const KEPT_WARM: u64 = 16 * 1024 * 1024;

/// The regions of one file.
#[derive(Debug)]
pub(crate) struct Regions {
    bytes: u64,
    /// Where each begins, and where it ends.
    used: BTreeMap<u64, u64>,
}

/// Bytes of a file whose memory is to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cold {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Cold {
    /// What of these bytes lies beyond what stays warm.
    pub(super) fn part_of(start: u64, end: u64) -> Option<Cold> {
        let offset = start.max(KEPT_WARM);
        (end > offset).then(|| Cold { offset, bytes: end - offset })
    }
}

/// There is no such region.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotUsed;

impl Regions {
    pub(crate) fn new(bytes: u64) -> Regions {
        Regions { bytes, used: BTreeMap::new() }
    }

    /// Takes `bytes` (not zero); where they begin, or `None` if there is no such room now.
    pub(crate) fn take(&mut self, bytes: u64) -> Option<u64> {
        if self.used.len() >= MOST_REGIONS {
            return None;
        }
        let bytes = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let mut start = 0;
        for (begin, end) in &self.used {
            if begin - start >= bytes {
                break;
            }
            start = *end;
        }
        let end = start.checked_add(bytes).filter(|end| *end <= self.bytes)?;
        self.used.insert(start, end);
        Some(start)
    }

    /// Gives a region back; and what of it should not stay in memory, if there is any.
    pub(crate) fn give_back(&mut self, start: u64) -> Result<Option<Cold>, NotUsed> {
        let end = self.used.remove(&start).ok_or(NotUsed)?;
        Ok(Cold::part_of(start, end))
    }

    /// How many are in use.
    pub(crate) fn len(&self) -> usize {
        self.used.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lowest_place_is_used_again() {
        let mut regions = Regions::new(5 * PAGE_BYTES);
        let [first, second, third] = [1, PAGE_BYTES + 1, PAGE_BYTES].map(|bytes| regions.take(bytes).unwrap());
        assert_eq!((first, second, third), (0, PAGE_BYTES, 3 * PAGE_BYTES));
        regions.give_back(second).unwrap();
        assert_eq!(regions.take(2 * PAGE_BYTES), Some(second));
        assert_eq!((regions.take(PAGE_BYTES), regions.take(1), regions.len()), (Some(4 * PAGE_BYTES), None, 4));
        assert_eq!((regions.give_back(1), regions.give_back(9 * PAGE_BYTES)), (Err(NotUsed), Err(NotUsed)));
    }

    #[test]
    fn a_large_one_does_not_stay_in_memory() {
        let mut regions = Regions::new(1 << 30);
        let (small, large) = (regions.take(1).unwrap(), regions.take(100 << 20).unwrap());
        let end = large + (100 << 20);
        assert_eq!(regions.give_back(large), Ok(Some(Cold { offset: KEPT_WARM, bytes: end - KEPT_WARM })));
        assert_eq!(regions.give_back(small), Ok(None));
        let large = regions.take(KEPT_WARM).unwrap();
        let above = regions.take(5000).unwrap();
        assert_eq!(regions.give_back(above), Ok(Some(Cold { offset: KEPT_WARM, bytes: 8192 })));
        assert_eq!(regions.give_back(large), Ok(None));
    }

    proptest! {
        #[test]
        fn no_two_regions_overlap_and_none_reaches_beyond_the_file(
            steps in prop::collection::vec((any::<bool>(), 1..200_000_u64), 1..200)
        ) {
            let bytes = 1 << 20;
            let mut regions = Regions::new(bytes);
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (give, size) in steps {
                if give && !taken.is_empty() {
                    let (start, _) = taken.swap_remove(size as usize % taken.len());
                    prop_assert!(regions.give_back(start).is_ok());
                } else if let Some(start) = regions.take(size) {
                    prop_assert!(start + size <= bytes);
                    prop_assert!(taken.iter().all(|(other, end)| start >= *end || start + size <= *other));
                    taken.push((start, start + size));
                }
            }
            for (start, _) in taken {
                prop_assert!(regions.give_back(start).is_ok());
            }
            prop_assert_eq!(regions.take(bytes), Some(0));
        }
    }
}
