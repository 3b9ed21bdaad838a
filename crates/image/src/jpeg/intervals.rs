//! Restart intervals: the stretches of a scan that can be decoded by themselves. They are cut at the markers before anything is decoded, so
//! that no entropy decoder has to know of markers, and a damaged stretch costs no more than itself.

use std::iter::Take;
use std::ops::Range;

use super::bits::next_marker;
use super::scan::ScanPlace;

/// A stretch of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval<'a> {
    /// Which coded units of the scan (rows from top to bottom, left to right).
    pub(super) units: Range<u32>,
    /// Its bits, without any marker.
    pub(super) data: &'a [u8],
    /// Where `data` begins in the file.
    pub(super) at: usize,
    /// What is wrong with the marker in front of it, if anything is.
    pub(super) problem: Option<&'static str>,
}

/// Walks over the intervals of a scan. A clone walks over those that are left.
#[derive(Clone)]
pub(super) struct Intervals<'a> {
    /// The file up to the end of the scan.
    bytes: &'a [u8],
    position: usize,
    /// Where the next restart marker is, if known already.
    marker: Option<usize>,
    units: u32,
    next_unit: u32,
    length: u32,
    /// Number of the next restart marker, modulo 8.
    expected: u8,
    problem: Option<&'static str>,
}

/// What makes a part of a scan worth a job of its own: either of these.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    pub(super) bytes: usize,
    pub(super) units: u32,
}

const LOST: &str = "JPEG restart markers are missing or out of order";

impl<'a> Intervals<'a> {
    /// A scan of `units` units, with a restart marker after every `length` (0: never).
    pub(super) fn new(file: &'a [u8], place: &ScanPlace, units: u32, length: u32) -> Self {
        Self {
            bytes: file.get(..place.end).unwrap_or_default(),
            position: place.start,
            marker: place.first_restart,
            units,
            next_unit: 0,
            length: if length == 0 { units.max(1) } else { length },
            expected: 0,
            problem: None,
        }
    }

    /// Units of the whole scan.
    pub(super) fn units(&self) -> u32 {
        self.units
    }

    /// Passes over the next intervals that make up whole rows of `across` units, as few as hold `least`, and gives them: a part of the scan that can
    /// be decoded beside the next one. With them comes the row behind their last one. `None` when nothing is left.
    pub(super) fn next_rows(&mut self, across: u32, least: Least) -> Option<(Take<Self>, u32)> {
        let (begin, first_unit) = (self.clone(), self.next_unit);
        let (mut count, mut bytes) = (0, 0);
        while let Some(interval) = self.next() {
            count += 1;
            bytes += interval.data.len();
            let is_enough = bytes >= least.bytes || self.next_unit - first_unit >= least.units;
            if is_enough && self.next_unit.is_multiple_of(across) {
                break;
            }
        }
        (count > 0).then(|| (begin.take(count), self.next_unit.div_ceil(across)))
    }

    /// Goes behind the restart marker at [`Intervals::marker`]. As libjpeg does: a number that is ahead by one or two means that as many
    /// intervals are lost, one that is behind by as many that the stretch that follows was decoded already; any other is taken for the right one.
    fn pass_marker(&mut self) {
        loop {
            let Some(marker) = self.marker else {
                (self.next_unit, self.position) = (self.units, self.bytes.len());
                self.problem = Some(LOST);
                return;
            };
            let number = self.bytes.get(marker + 1).copied().unwrap_or_default();
            self.position = marker + 2;
            self.marker = next_marker(self.bytes, self.position);
            let ahead = number.wrapping_sub(self.expected) & 7;
            if ahead != 0 {
                self.problem = Some(LOST);
            }
            if matches!(ahead, 6 | 7) {
                continue;
            }
            let lost = if ahead <= 2 { ahead } else { 0 };
            self.next_unit = self.next_unit.saturating_add(u32::from(lost).saturating_mul(self.length)).min(self.units);
            self.expected = self.expected.wrapping_add(lost + 1) & 7;
            return;
        }
    }
}

impl<'a> Iterator for Intervals<'a> {
    type Item = Interval<'a>;

    fn next(&mut self) -> Option<Interval<'a>> {
        if self.next_unit > 0 && self.next_unit < self.units {
            self.pass_marker();
        }
        let problem = self.problem.take();
        if self.next_unit >= self.units {
            // Even when nothing is left to decode, what is wrong must be told.
            let at = self.position;
            return problem.map(|problem| Interval {
                units: self.units..self.units,
                data: &[],
                at,
                problem: Some(problem),
            });
        }
        let units = self.next_unit..self.next_unit.saturating_add(self.length).min(self.units);
        self.next_unit = units.end;
        let end = self.marker.unwrap_or(self.bytes.len());
        let data = self.bytes.get(self.position..end).unwrap_or_default();
        Some(Interval { units, data, at: self.position, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jpeg::scan::Scan;

    /// A scan of 10 units, 2 an interval.
    fn of(data: &[u8]) -> Intervals<'_> {
        let place = ScanPlace {
            scan: Scan::of_nothing(),
            header: 0,
            start: 0,
            end: data.len(),
            first_restart: next_marker(data, 0),
        };
        Intervals::new(data, &place, 10, 2)
    }

    /// Units, first data byte and problem of each interval.
    fn cut(data: &[u8]) -> Vec<(Range<u32>, Option<u8>, bool)> {
        of(data).map(|i| (i.units, i.data.first().copied(), i.problem.is_some())).collect()
    }

    #[test]
    fn a_scan_is_cut_at_its_restart_markers() {
        let data = [1, 0xFF, 0xD0, 2, 0xFF, 0xD1, 3, 0xFF, 0xD2, 4, 0xFF, 0xD3, 5];
        let expected = [(0..2, 1), (2..4, 2), (4..6, 3), (6..8, 4), (8..10, 5)];
        assert_eq!(cut(&data), expected.map(|(units, first)| (units, Some(first), false)));
    }

    #[test]
    fn parts_of_whole_rows_are_what_one_walk_gives() {
        let whole = [1, 0xFF, 0xD0, 2, 0xFF, 0xD1, 3, 0xFF, 0xD2, 4, 0xFF, 0xD3, 5];
        let lost = [1, 0xFF, 0xD1, 3, 0xFF, 0xD2, 4, 0xFF, 0xD3, 5];
        let ends = [1, 0xFF, 0xD0, 2];
        for data in [whole.as_slice(), &lost, &ends] {
            for (across, units) in [(1, 1), (2, 1), (5, 1), (10, 1), (2, 3), (5, 6), (1, 10)] {
                let all: Vec<_> = of(data).collect();
                let (mut left, mut parts, mut row) = (of(data), Vec::new(), 0);
                while let Some((part, end)) = left.next_rows(across, Least { bytes: usize::MAX, units }) {
                    for interval in part {
                        assert!(interval.units.is_empty() || interval.units.start >= row * across);
                        assert!(interval.units.end <= end * across);
                        parts.push(interval);
                    }
                    row = end;
                }
                assert_eq!((parts, row), (all, 10 / across), "{data:?}, {across} across, {units} at least");
            }
        }
    }

    #[test]
    fn a_lost_marker_costs_its_interval_and_those_behind_it_keep_their_place() {
        let data = [1, 0xFF, 0xD1, 3, 0xFF, 0xD2, 4, 0xFF, 0xD3, 5];
        assert_eq!(
            cut(&data),
            [(0..2, Some(1), false), (4..6, Some(3), true), (6..8, Some(4), false), (8..10, Some(5), false)]
        );
    }

    #[test]
    fn a_marker_that_comes_twice_is_passed_over_with_what_follows_it() {
        let data = [1, 0xFF, 0xD0, 2, 0xFF, 0xD0, 9, 0xFF, 0xD1, 3, 0xFF, 0xD2, 4, 0xFF, 0xD3, 5];
        let got = cut(&data);
        assert_eq!(got[2], (4..6, Some(3), true));
        assert_eq!(got.len(), 5);
    }

    #[test]
    fn a_scan_that_ends_before_its_last_marker_tells_so() {
        assert_eq!(cut(&[1, 0xFF, 0xD0, 2]), [(0..2, Some(1), false), (2..4, Some(2), false), (10..10, None, true)]);
    }
}
