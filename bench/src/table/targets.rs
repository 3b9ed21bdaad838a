//! What was aimed at, beside what came out.

use super::{Table, number};

/// A table of targets, each met or missed.
pub(crate) struct Targets(Table);

impl Targets {
    pub(crate) fn new() -> Self {
        Self(Table::new(&["target", "aimed at", "measured", ""]))
    }

    /// `measured` is to be `limit` or more; both in `unit`.
    pub(crate) fn at_least(&mut self, what: &str, limit: f64, unit: &str, measured: Option<f64>) {
        self.row(what, format!("≥ {limit} {unit}"), measured, unit, |measured| measured >= limit);
    }

    /// `measured` is to be `limit` or less; both in `unit`.
    pub(crate) fn at_most(&mut self, what: &str, limit: f64, unit: &str, measured: Option<f64>) {
        self.row(what, format!("≤ {limit} {unit}"), measured, unit, |measured| measured <= limit);
    }

    fn row(&mut self, what: &str, aim: String, measured: Option<f64>, unit: &str, met: impl Fn(f64) -> bool) {
        let verdict = match measured {
            None => "not measured",
            Some(measured) if met(measured) => "met",
            Some(_) => "missed",
        };
        self.0.row(vec![what.to_owned(), aim, format!("{} {unit}", number(measured)), verdict.to_owned()]);
    }

    pub(crate) fn print(&self) {
        self.0.print("targets");
    }
}

/// `ours / theirs`, where both are known.
pub(crate) fn ratio(ours: Option<f64>, theirs: Option<f64>) -> Option<f64> {
    Some(ours? / theirs.filter(|theirs| *theirs > 0.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let mut targets = Targets::new();
        targets.at_least("speed", 3.0, "M/s", Some(3.0));
        targets.at_most("memory", 2.0, "MiB", Some(2.1));
        targets.at_least("rival", 1.0, "×", None);
        let markdown = targets.0.markdown();
        let verdicts: Vec<&str> = markdown.lines().skip(2).filter_map(|line| line.split('|').nth(4)).collect();
        assert_eq!(
            verdicts.iter().map(|verdict| verdict.trim()).collect::<Vec<_>>(),
            ["met", "missed", "not measured"]
        );
    }
}
