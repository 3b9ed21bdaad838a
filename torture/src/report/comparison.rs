//! [`Comparison`]: what servers beside ours did; no verdicts.

use super::table::Table;
use super::{COLUMNS, Row, tell};
use crate::oracle::Outcome;

/// The rows of all servers.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    versions: Vec<(String, String)>,
    rows: Vec<Row>,
}

impl Comparison {
    /// What a server is made of.
    pub(crate) fn version(&mut self, server: &str, versions: &str) {
        self.versions.push((server.to_owned(), versions.to_owned()));
    }

    /// Runs one trial with one server; what stops it early stands beside its figures.
    pub(crate) fn row(&mut self, trial: &str, server: &str, run: impl FnOnce(&mut Row) -> Result<(), String>) {
        let mut row = Row { scenario: trial.to_owned(), variant: server.to_owned(), ..Row::default() };
        if let Err(words) = run(&mut row) {
            row.figure(words);
        }
        tell("", &row);
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        let mut columns = vec!["torture", "server"];
        columns.extend(COLUMNS.map(Outcome::name));
        columns.push("");
        let mut table = Table::new(&columns);
        for row in &self.rows {
            let mut cells = vec![row.scenario.clone(), row.variant.clone()];
            cells.extend(row.outcomes());
            cells.push(row.figures.join("; "));
            table.row(cells);
        }
        println!("\n{}", table.markdown());
        self.versions.iter().for_each(|(server, versions)| println!("- {server}: {versions}"));
    }
}
