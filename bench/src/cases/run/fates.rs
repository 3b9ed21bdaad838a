//! The table of what became of each connection, and what can be said about it.

use std::time::Instant;

use crate::load::oracle::{Fate, Record};
use crate::table::{Table, number};

/// A table with a column for each fate; `leading` and `trailing` columns are the caller's.
pub(super) fn table(leading: &[&str], trailing: &[&str]) -> Table {
    let fates = ["answered", "closed while idle", "refused", "reset", "hung 5 s", "wrong", "longest answer, ms"];
    Table::new(&[leading, &fates, trailing].concat())
}

/// The cells of [`table`].
pub(super) fn row(leading: Vec<String>, record: &Record, trailing: Vec<String>) -> Vec<String> {
    let fates = [Fate::Answered, Fate::ClosedIdle, Fate::Refused, Fate::Reset, Fate::Hung, Fate::Wrong];
    let mut cells = leading;
    cells.extend(fates.map(|fate| record.count(fate).to_string()));
    cells.push(number(Some(record.longest.as_secs_f64() * 1e3)));
    cells.extend(trailing);
    cells
}

/// Resets that no end of a worker explains: none ended between the asking and the failure. The clients and whoever ends
/// the workers share a thread, so their times are in order.
pub(super) fn unexplained_resets(record: &Record, ends: &[Instant]) -> usize {
    let resets = record.failures.iter().filter(|failure| failure.fate == Fate::Reset);
    resets.filter(|reset| !ends.iter().any(|end| (reset.asked..=reset.seen).contains(end))).count()
}
