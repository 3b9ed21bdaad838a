//! What came of all rounds: samples by what was measured and in whom, or why there are none.

use std::collections::BTreeMap;

use super::of_samples;
use crate::peers::Absent;

/// One `S` for each round, by `K`.
pub(crate) struct Results<K, S>(BTreeMap<K, Result<Vec<S>, Absent>>);

impl<K: Ord, S> Results<K, S> {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// One failure is enough: what fails in one round is not measured.
    pub(crate) fn add(&mut self, key: K, sample: Result<S, Absent>) {
        let samples = self.0.entry(key).or_insert_with(|| Ok(Vec::new()));
        match (samples.as_mut(), sample) {
            (Ok(samples), Ok(sample)) => samples.push(sample),
            (_, Err(absent)) => *samples = Err(absent),
            (Err(_), Ok(_)) => {}
        }
    }

    /// The median of `figure` over the rounds.
    pub(crate) fn median(&self, key: &K, figure: impl Fn(&S) -> Option<f64>) -> Option<f64> {
        of_samples(self.0.get(key)?.as_ref().ok()?, figure)
    }

    /// `figure` of every round that has it.
    pub(crate) fn figures(&self, key: &K, figure: impl Fn(&S) -> Option<f64>) -> Vec<f64> {
        self.of(key).iter().filter_map(figure).collect()
    }

    /// Every round that was measured.
    pub(crate) fn each(&self, key: &K) -> impl Iterator<Item = &S> {
        self.of(key).iter()
    }

    /// What `compare` says of each round of `one` and the same round of `other`.
    pub(crate) fn pairs(&self, one: &K, other: &K, compare: impl Fn(&S, &S) -> Option<f64>) -> Vec<f64> {
        self.of(one).iter().zip(self.of(other)).filter_map(|(one, other)| compare(one, other)).collect()
    }

    fn of(&self, key: &K) -> &[S] {
        match self.0.get(key) {
            Some(Ok(samples)) => samples,
            _ => &[],
        }
    }

    pub(crate) fn absent(&self, key: &K) -> Option<&Absent> {
        self.0.get(key)?.as_ref().err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_once_has_no_figure_but_a_reason() {
        let mut results = Results::new();
        for sample in [Ok(1.0), Ok(3.0), Ok(2.0)] {
            results.add("steady", sample);
        }
        for sample in [Ok(1.0), Err(Absent("no memory".into())), Ok(2.0)] {
            results.add("shaky", sample);
        }
        assert_eq!(results.median(&"steady", |figure| Some(*figure)), Some(2.0));
        assert!(results.absent(&"steady").is_none());
        assert_eq!(results.median(&"shaky", |figure| Some(*figure)), None);
        assert_eq!(results.absent(&"shaky").unwrap().0, "no memory");
    }
    #[test]
    fn rounds_are_compared_with_themselves() {
        let mut results = Results::new();
        for (ours, theirs) in [(1.0, 2.0), (3.0, 4.0)] {
            results.add("ours", Ok(ours));
            results.add("theirs", Ok(theirs));
        }
        assert_eq!(results.pairs(&"ours", &"theirs", |ours, theirs| Some(ours / theirs)), [0.5, 0.75]);
        assert_eq!(results.figures(&"ours", |figure| Some(*figure)), [1.0, 3.0]);
        assert!(results.pairs(&"ours", &"nobody", |ours, _| Some(*ours)).is_empty());
    }
}
