//! [`Scales`]: the looks, at all resolutions at once, in bounded memory.

use std::collections::VecDeque;

use super::{Leak, Resource, Sample, shape};

/// Work for which one look is kept on the finest scale: 5 000 units are then 78 looks, enough for a verdict.
const FINEST_WORK: u64 = 64;

/// Looks that a scale keeps. On the finest they are 3 000 units of work; to compare each with each takes some 10 µs.
const POINTS: usize = 48;

/// Each is twice as coarse as the one before: the last looks at 50 thousand million units of work.
const SCALES: usize = 24;

/// Looks on the finest scale that a verdict needs: two in each of the parts that are compared.
const LEAST_POINTS: usize = 16;

/// On the others, whose first looks the scale before has seen already.
const LEAST_POINTS_COARSE: usize = POINTS * 2 / 3;

/// Scales further up whose looks show what was there before: 64 times as long ago.
const HISTORY_SCALES: usize = 6;

/// Part by which the load of one of two looks may be larger if the heights of both shall be remembered.
const COMPARABLE_LOAD: f64 = 0.25;

/// A stretch of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// The look at the lowest load; of those, the lowest.
    pub(super) quietest: Sample,
    /// The highest value at comparable load.
    pub(super) highest: u64,
}

#[derive(Debug, Default)]
pub(super) struct Scales {
    /// Since when looks are gathered, and the quietest of them.
    gathering: Option<(u64, Sample)>,
    scales: Vec<Scale>,
}

/// What is known at one resolution.
#[derive(Debug, Default)]
struct Scale {
    points: VecDeque<Point>,
    /// Waits for another one, to become one with it on the next scale.
    half: Option<Point>,
}

impl Scales {
    pub(super) fn add(&mut self, sample: Sample, resource: Resource) -> Option<Leak> {
        let point = match &mut self.gathering {
            Some((since, quietest)) if sample.work < *since + FINEST_WORK => {
                // A clock or a counter that went back is no look at all.
                if sample.work >= quietest.work {
                    *quietest = quieter(*quietest, sample);
                }
                return None;
            }
            gathering => gathering.replace((sample.work, sample))?.1,
        };
        let touched = self.put(Point { quietest: point, highest: point.value });
        (0..touched).find_map(|index| self.judge(index, resource))
    }

    /// On the finest scale, and half as often on the next, and so on; the number of scales that have something new.
    fn put(&mut self, point: Point) -> usize {
        let mut rising = Some(point);
        for index in 0..SCALES {
            let Some(point) = rising.take() else { return index };
            if self.scales.len() == index {
                self.scales.push(Scale::default());
            }
            let scale = &mut self.scales[index];
            if scale.points.len() == POINTS {
                scale.points.pop_front();
            }
            scale.points.push_back(point);
            rising = match scale.half.take() {
                Some(half) => Some(half.and(point)),
                None => {
                    scale.half = Some(point);
                    None
                }
            };
        }
        SCALES
    }

    fn judge(&self, index: usize, resource: Resource) -> Option<Leak> {
        let points = &self.scales[index].points;
        let least = if index == 0 { LEAST_POINTS } else { LEAST_POINTS_COARSE };
        if points.len() < least {
            return None;
        }
        let points: Vec<Sample> = points.iter().map(|point| point.quietest).collect();
        let coarser = self.scales.get(index + HISTORY_SCALES).or(self.scales.last())?;
        let earlier = coarser.points.iter().take_while(|point| point.quietest.work < points[0].work);
        shape::judge(&points, earlier, resource)
    }
}

impl Point {
    fn and(self, later: Point) -> Point {
        let quietest = quieter(self.quietest, later.quietest);
        let most = quietest.load as f64 * (1.0 + COMPARABLE_LOAD);
        let both = [self, later];
        let comparable = both.iter().filter(|point| point.quietest.load as f64 <= most);
        Point { quietest, highest: comparable.map(|point| point.highest).max().unwrap_or(quietest.value) }
    }
}

/// The one at the lower load; at the same load the lower one.
fn quieter(one: Sample, other: Sample) -> Sample {
    if (other.load, other.value) < (one.load, one.value) { other } else { one }
}
