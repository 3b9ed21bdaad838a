//! [`Report`]: the rows of the table, each told as soon as it is known.

mod comparison;
mod table;

use std::fmt::Write as _;

use crate::oracle::{Outcome, Tally};
use crate::trouble::Trouble;
use table::Table;

pub(crate) use comparison::Comparison;

/// Outcomes that have a column of their own.
const COLUMNS: [Outcome; 9] = [
    Outcome::Ok,
    Outcome::Refused,
    Outcome::ResetBeforeSend,
    Outcome::ResetAfterSend,
    Outcome::CutOff,
    Outcome::TimedOut,
    Outcome::WrongAnswer,
    Outcome::Duplicate,
    Outcome::CleanClose,
];

/// What came out of one variant of one scenario.
#[derive(Debug, Default)]
pub(crate) struct Row {
    scenario: String,
    variant: String,
    tally: Option<Tally>,
    figures: Vec<String>,
    broken: Vec<String>,
    /// Why nothing can be said.
    skipped: Option<String>,
}

impl Row {
    /// What the clients saw; several tallies add up.
    pub(crate) fn tally(&mut self, tally: Tally) {
        match &mut self.tally {
            Some(all) => all.add(tally),
            None => self.tally = Some(tally),
        }
    }

    /// Something worth to be printed, such as a time.
    pub(crate) fn figure(&mut self, words: impl Into<String>) {
        self.figures.push(words.into());
    }

    /// A promise: if it does not hold, `words` say what happened instead.
    pub(crate) fn require(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(words());
        }
    }

    /// No request failed, and there were some.
    pub(crate) fn require_no_failure(&mut self) {
        let Some(tally) = &self.tally else {
            return self.broken.push("no client asked anything".into());
        };
        if tally.failed() > 0 {
            self.broken.push(tally.failures_in_words());
        }
        if tally.count(Outcome::Ok) == 0 {
            self.broken.push("no request was answered".into());
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.broken.is_empty(), &self.skipped) {
            (false, _) => "FAILED",
            (true, Some(_)) => "not tried",
            (true, None) => "kept",
        }
    }

    /// A cell for each of [`COLUMNS`].
    fn outcomes(&self) -> [String; COLUMNS.len()] {
        COLUMNS.map(|outcome| self.tally.as_ref().map_or_else(String::new, |tally| tally.count(outcome).to_string()))
    }

    fn name(&self) -> String {
        if self.variant.is_empty() { self.scenario.clone() } else { format!("{}, {}", self.scenario, self.variant) }
    }
}

/// All rows of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    scenario: String,
    rows: Vec<Row>,
}

impl Report {
    /// From here on rows belong to this scenario.
    pub(crate) fn begin(&mut self, scenario: &str, promise: &str) {
        self.scenario = scenario.to_owned();
        println!("\n{scenario}: {promise}");
    }

    /// Runs one variant; whatever stops it early is its verdict.
    pub(crate) fn row(&mut self, variant: &str, run: impl FnOnce(&mut Row) -> Result<(), Trouble>) {
        let mut row = Row { scenario: self.scenario.clone(), variant: variant.to_owned(), ..Row::default() };
        match run(&mut row) {
            Ok(()) => {}
            Err(Trouble::CannotTry(words)) => row.skipped = Some(words),
            Err(trouble) => row.broken.push(trouble.to_string()),
        }
        tell(row.verdict(), &row);
        self.rows.push(row);
    }

    /// Whether every promise that was tried is kept.
    pub(crate) fn all_kept(&self) -> bool {
        self.rows.iter().all(|row| row.broken.is_empty())
    }

    /// The table, and below it what its last column means.
    pub(crate) fn print(&self) {
        let mut columns = vec!["scenario"];
        columns.extend(COLUMNS.map(Outcome::name));
        columns.extend(["figures", ""]);
        let mut table = Table::new(&columns);
        for row in &self.rows {
            let mut cells = vec![row.name()];
            cells.extend(row.outcomes());
            cells.extend([row.figures.join("; "), row.verdict().to_owned()]);
            table.row(cells);
        }
        println!("\n{}", table.markdown());
        for row in &self.rows {
            row.broken.iter().for_each(|words| println!("- {}: {words}", row.name()));
            row.skipped.iter().for_each(|words| println!("- {} was not tried: {words}", row.name()));
        }
        let failed = self.rows.iter().filter(|row| !row.broken.is_empty()).count();
        let skipped = self.rows.iter().filter(|row| row.verdict() == "not tried").count();
        println!(
            "\n{} rows: {} kept, {failed} failed, {skipped} not tried",
            self.rows.len(),
            self.rows.len() - failed - skipped
        );
    }
}

/// The line of a row, as soon as it is known.
fn tell(label: &str, row: &Row) {
    let mut line = format!("  {label:<9} {}", row.variant);
    if let Some(tally) = &row.tally {
        let _ = write!(line, ": {} ok, {} failed", tally.count(Outcome::Ok), tally.failed());
        for outcome in [Outcome::CleanClose, Outcome::Client] {
            if tally.count(outcome) > 0 {
                let _ = write!(line, ", {} {}", tally.count(outcome), outcome.name());
            }
        }
    }
    for words in &row.figures {
        let _ = write!(line, "; {words}");
    }
    println!("{line}");
    row.broken.iter().chain(&row.skipped).for_each(|words| println!("            {words}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_available_fails_and_what_cannot_be_tried_does_not() {
        let mut report = Report::default();
        report.begin("scenario", "a promise");
        report.row("kept", |row| {
            row.require(true, String::new);
            Ok(())
        });
        report.row("cannot", |_| Err(Trouble::CannotTry("not root".into())));
        assert!(report.all_kept());
        report.row("missing", |_| Err(Trouble::NotAvailable("reload".into())));
        assert!(!report.all_kept());
        let verdicts: Vec<&str> = report.rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, ["kept", "not tried", "FAILED"]);
    }

    #[test]
    fn a_row_without_answers_keeps_no_promise() {
        let mut row = Row::default();
        row.require_no_failure();
        row.tally(Tally::default());
        row.require_no_failure();
        assert_eq!(row.broken, ["no client asked anything", "no request was answered"]);
    }
}
