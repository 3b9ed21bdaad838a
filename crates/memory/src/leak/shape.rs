//! [`judge`]: whether a trend is a leak, or only looks like one for a while.
//!
//! | what it might be | what a leak has that it has not |
//! |---|---|
//! | noise that drifts, something large that stays, a saw-tooth | each eighth of the looks is about as much higher than the one before |
//! | a cache that fills | the second half grows nearly as fast as the first |
//! | a wave that comes again | the end is well above everything that was there before |

use super::scale::Point;
use super::trend::{CONFIDENCE, Trend, median_slope};
use super::{Leak, Resource, Sample};

/// Units of work that a verdict is about, at least: what levels off within twice that shows it.
const LEAST_WORK: u64 = 2000;

/// Part of the speed that must be sure.
const SURE_PART: f64 = 0.5;

/// Parts whose heights are compared.
const PARTS: usize = 8;

/// How many of its own standard errors the mean step from part to part must be. What drifts by chance (a random walk)
/// comes to that with a probability of 1 in 10 000 (Student, 6 degrees of freedom); a single step in any part is at 1.
const STEADINESS: f64 = 8.0;

/// The second half must grow at this part of the speed of the first. Something that fills as 1 - e^(-work / t) shows
/// that in windows longer than 0.45 t.
const LAST_HALF_TO_FIRST: f64 = 0.8;

/// Part of the least growth by which the end must be above all that was before.
const ABOVE_ALL_BEFORE: f64 = 0.5;

/// The verdict over the looks of one scale, in the order of their work; `earlier` ones are of a coarser scale.
pub(super) fn judge<'a>(
    points: &[Sample],
    earlier: impl Iterator<Item = &'a Point>,
    resource: Resource,
) -> Option<Leak> {
    let (first, last) = (points.first()?, points.last()?);
    let work = last.work.saturating_sub(first.work);
    if work < LEAST_WORK || !may_have_grown(points, resource) {
        return None;
    }
    let trend = Trend::of(points)?;
    let growth = trend.slope * work as f64;
    let is_leak = growth >= resource.least_growth()
        && trend.at_least >= SURE_PART * trend.slope
        && grows_steadily(points)
        && grows_on(points)
        && is_higher_than_ever(points, earlier, ABOVE_ALL_BEFORE * resource.least_growth());
    is_leak.then(|| Leak {
        resource,
        per_work: trend.slope,
        at_least: trend.at_least,
        confidence: CONFIDENCE,
        work,
        time: last.at.saturating_duration_since(first.at),
        from: first.value,
        to: last.value,
        samples: points.len() as u32,
    })
}

/// A look without sorting: nearly always there is nothing to see.
fn may_have_grown(points: &[Sample], resource: Resource) -> bool {
    let quarter = points.len() / 4;
    let lowest = |points: &[Sample]| points.iter().map(|point| point.value).min().unwrap_or(0);
    let (begin, end) = (lowest(&points[..quarter]), lowest(&points[points.len() - quarter..]));
    end.saturating_sub(begin) as f64 >= resource.least_growth() / 2.0
}

/// The steps from the height of each part to that of the next are so alike that their mean is no chance.
fn grows_steadily(points: &[Sample]) -> bool {
    let bounds = |part: usize| points.len() * part / PARTS;
    let heights: Vec<f64> = (0..PARTS).map(|part| median(&points[bounds(part)..bounds(part + 1)])).collect();
    let steps: Vec<f64> = heights.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let count = steps.len() as f64;
    let mean = steps.iter().sum::<f64>() / count;
    let variance = steps.iter().map(|step| (step - mean).powi(2)).sum::<f64>() / (count - 1.0);
    mean > 0.0 && mean >= STEADINESS * (variance / count).sqrt()
}

fn grows_on(points: &[Sample]) -> bool {
    let (first, last) = points.split_at(points.len() / 2);
    let (Some(first), Some(last)) = (median_slope(first), median_slope(last)) else { return false };
    first > 0.0 && last >= LAST_HALF_TO_FIRST * first
}

/// At no more load than the last part has.
fn is_higher_than_ever<'a>(points: &[Sample], mut earlier: impl Iterator<Item = &'a Point>, margin: f64) -> bool {
    let last = &points[points.len() * (PARTS - 1) / PARTS..];
    let load = last.iter().map(|point| point.load).max().unwrap_or(0);
    let height = median(last);
    earlier.all(|point| point.quietest.load > load || point.highest as f64 + margin <= height)
}

fn median(points: &[Sample]) -> f64 {
    let mut values: Vec<u64> = points.iter().map(|point| point.value).collect();
    values.sort_unstable();
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    let at = |index: usize| values.get(index).map_or(0.0, |value| *value as f64);
    (at(low) + at(high)) / 2.0
}
