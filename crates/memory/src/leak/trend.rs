//! [`Trend`]: the median slope between looks at comparable load, and how sure it is that there is one.
//!
//! H. Theil, "A rank-invariant method of linear and polynomial regression analysis" (1950); P. K. Sen, "Estimates of the
//! regression coefficient based on Kendall's tau" (1968), which has the interval; M. G. Kendall, "Rank Correlation Methods".

use super::Sample;

/// Probability that is asked for: with it, noise alone passes once in ten thousand looks, before the shape is asked.
pub(super) const CONFIDENCE: f64 = 0.9999;

/// Standard deviations that it is on one side (normal distribution).
const DEVIATIONS: f64 = 3.719;

/// Part of its load by which the earlier of two may be busier than the later.
const COMPARABLE_LOAD: f64 = 0.25;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Value for each unit of work.
    pub(super) slope: f64,
    /// It is at least this, with [`CONFIDENCE`].
    pub(super) at_least: f64,
}

impl Trend {
    /// Of looks in the order of their work; `None` if it is not sure that there is one.
    pub(super) fn of(points: &[Sample]) -> Option<Trend> {
        let mut degrees = vec![Degrees::default(); points.len()];
        let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
        // Kendall's S: how many pairs rise, less how many fall.
        let mut rising = 0.0;
        for (i, j) in pairs(points) {
            let slope = slope(&points[i], &points[j]);
            rising += if slope == 0.0 { 0.0 } else { slope.signum() };
            slopes.push(slope);
            degrees[i].later += 1.0;
            degrees[j].earlier += 1.0;
        }
        let deviation = variance(slopes.len() as f64, &degrees).max(0.0).sqrt();
        if slopes.is_empty() || rising - 1.0 < DEVIATIONS * deviation {
            return None;
        }
        let rank = ((slopes.len() as f64 - DEVIATIONS * deviation) / 2.0).max(0.0) as usize;
        slopes.sort_unstable_by(f64::total_cmp);
        Some(Trend { slope: slopes[slopes.len() / 2], at_least: slopes[rank.min(slopes.len() - 1)] })
    }
}

/// The median slope, however sure.
pub(super) fn median_slope(points: &[Sample]) -> Option<f64> {
    let mut slopes: Vec<f64> = pairs(points).map(|(i, j)| slope(&points[i], &points[j])).collect();
    let middle = slopes.len() / 2;
    (!slopes.is_empty()).then(|| *slopes.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Those that are compared: the later one is at no more load than the earlier, and at not much less.
fn pairs(points: &[Sample]) -> impl Iterator<Item = (usize, usize)> {
    let comparable = |earlier: &Sample, later: &Sample| {
        later.work > earlier.work
            && later.load <= earlier.load
            && later.load as f64 >= earlier.load as f64 * (1.0 - COMPARABLE_LOAD)
    };
    let all = (0..points.len()).flat_map(move |i| (i + 1..points.len()).map(move |j| (i, j)));
    all.filter(move |(i, j)| comparable(&points[*i], &points[*j]))
}

fn slope(earlier: &Sample, later: &Sample) -> f64 {
    (later.value as f64 - earlier.value as f64) / (later.work as f64 - earlier.work as f64)
}

/// Pairs that a look is in.
#[derive(Debug, Clone, Copy, Default)]
struct Degrees {
    /// As the later one.
    earlier: f64,
    /// As the earlier one.
    later: f64,
}

/// The variance of Kendall's S if nothing grows, over any set of pairs: each pair has variance 1, two pairs that share a
/// look have covariance 1/3 if it is the earlier (or the later) in both, and -1/3 else. Over all pairs of n looks
/// this is Kendall's n(n-1)(2n+5)/18.
fn variance(pairs: f64, degrees: &[Degrees]) -> f64 {
    let shared = degrees.iter().map(|its| (its.later - its.earlier).powi(2) - (its.later + its.earlier));
    pairs + shared.sum::<f64>() / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn points(values: impl IntoIterator<Item = (u64, u64)>) -> Vec<Sample> {
        let at = Instant::now();
        let numbered = values.into_iter().enumerate();
        numbered.map(|(index, (load, value))| Sample { at, work: 100 * index as u64, load, value }).collect()
    }

    #[test]
    fn over_all_pairs_the_variance_is_kendalls() {
        for n in [2usize, 5, 10, 48] {
            let degrees: Vec<Degrees> =
                (0..n).map(|index| Degrees { earlier: index as f64, later: (n - 1 - index) as f64 }).collect();
            let n = n as f64;
            let kendall = n * (n - 1.0) * (2.0 * n + 5.0) / 18.0;
            assert!((variance(n * (n - 1.0) / 2.0, &degrees) - kendall).abs() < 1e-6);
        }
    }

    #[test]
    fn a_straight_line_is_found_whatever_a_third_of_the_looks_say() {
        let line = points((0..40).map(|index| (0, if index % 4 == 1 { 9_999_999 } else { 1000 + 50 * index })));
        let trend = Trend::of(&line).unwrap();
        assert!((trend.slope - 0.5).abs() < 0.05, "{trend:?}");
        assert!(trend.at_least > 0.0 && trend.at_least <= trend.slope, "{trend:?}");
    }

    #[test]
    fn what_grows_with_the_load_is_not_compared() {
        assert_eq!(Trend::of(&points((0..48).map(|index| (index, 1000 * index)))), None);
        assert!(Trend::of(&points((0..48).map(|index| (7, 1000 * index)))).is_some());
    }

    #[test]
    fn the_same_value_for_ever_is_no_trend() {
        assert_eq!(Trend::of(&points((0..48).map(|_| (0, 5)))), None);
        assert_eq!(Trend::of(&[]), None);
    }
}
