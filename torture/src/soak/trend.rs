//! [`Trend`]: which way a series goes, so that one that leaps about does not look as if it grew.

/// A line through points: the median of the slopes of all pairs (Theil 1950, Sen 1968). A third of the points may lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Trend {
    /// On the line, at the first and at the last point.
    pub(crate) first: f64,
    pub(crate) last: f64,
}

/// Fewer points tell nothing.
const FEWEST: usize = 6;

impl Trend {
    /// Points are (time, value); `None` if there are too few, or all at one time.
    pub(crate) fn of(points: &[(f64, f64)]) -> Option<Trend> {
        if points.len() < FEWEST {
            return None;
        }
        let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
        for (index, one) in points.iter().enumerate() {
            let slope = |other: &(f64, f64)| (other.1 - one.1) / (other.0 - one.0);
            slopes.extend(points[index + 1..].iter().filter(|other| other.0 != one.0).map(slope));
        }
        let slope = median(&mut slopes)?;
        let mut heights: Vec<f64> = points.iter().map(|(at, value)| value - slope * at).collect();
        let height = median(&mut heights)?;
        let times = points.iter().map(|point| point.0);
        let (first, last) = (times.clone().fold(f64::MAX, f64::min), times.fold(f64::MIN, f64::max));
        Some(Trend { first: height + slope * first, last: height + slope * last })
    }

    /// As a part of what it was: 0.05 is 5 % more.
    pub(crate) fn growth(&self) -> f64 {
        (self.last - self.first) / self.first.max(1.0)
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_found_although_a_quarter_of_the_points_leap() {
        let points: Vec<(f64, f64)> =
            (0..40).map(|i| (f64::from(i), 100.0 + f64::from(i) + if i % 4 == 0 { 500.0 } else { 0.0 })).collect();
        let trend = Trend::of(&points).unwrap();
        assert!((trend.last - trend.first - 39.0).abs() < 2.0, "{trend:?}");
        assert!(Trend::of(&points[..3]).is_none());
        assert!(Trend::of(&[(1.0, 2.0); 20]).is_none());
    }

    #[test]
    fn noise_without_a_trend_is_flat() {
        let mut random = crate::random::Random::new(1, "noise");
        let points: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(i), 20_000.0 + random.below(2000) as f64)).collect();
        assert!(Trend::of(&points).unwrap().growth().abs() < 0.03);
    }
}
