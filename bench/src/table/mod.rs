//! Figures as Markdown.

mod environment;
mod targets;

pub(crate) use environment::{print_environment, print_environment_of};
pub(crate) use targets::{Targets, ratio};

use std::fmt::Write;

/// A table whose columns are as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|column| (*column).to_owned()).collect()], notes: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A row of one contender that gave no figures, and why.
    pub(crate) fn absent(&mut self, leading: Vec<String>, why: &str) {
        self.note(&format!("{}: {why}", leading.join(", ")));
        let mut cells = leading;
        cells.push("not measured".to_owned());
        cells.resize(self.rows[0].len(), String::new());
        self.rows.push(cells);
    }

    /// Says below the table what is not in it, and why; once, however often it is told.
    pub(crate) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|told| told == note) {
            self.notes.push(note.to_owned());
        }
    }

    pub(crate) fn print(&self, title: &str) {
        println!("\n### {title}\n\n{}", self.markdown());
    }

    fn markdown(&self) -> String {
        let columns = self.rows[0].len();
        let width_of =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width_of(column).unwrap_or(0).max(3)).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if index == 0 {
                for width in &widths {
                    let _ = write!(text, "|{:-<1$}", "", width + 2);
                }
                text.push_str("|\n");
            }
        }
        if !self.notes.is_empty() {
            let _ = write!(text, "\nNot measured: {}.\n", self.notes.join("; "));
        }
        text
    }
}

/// The middle of `values`; of two middles the mean.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Three significant digits, or none at all beyond a thousand; a dash for what was not measured.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if !value.is_finite() => "–".to_owned(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0}"),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// The median, and the quartiles if they are not the same; a dash for nothing.
pub(crate) fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = number(median(values));
    match sorted.len() {
        0 | 1 => middle,
        count => {
            let [low, high] = [count / 4, count - 1 - count / 4].map(|index| number(Some(sorted[index])));
            if low == high { middle } else { format!("{middle} [{low}–{high}]") }
        }
    }
}

/// Bytes in MiB.
pub(crate) fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_missing_figures_say_why() {
        let mut table = Table::new(&["server", "req/s"]);
        table.row(vec!["ours".into(), number(Some(1234.5))]);
        table.absent(vec!["nginx".into()], "not installed");
        let markdown = table.markdown();
        let lengths: Vec<usize> = markdown.lines().take(4).map(|line| line.chars().count()).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{markdown}");
        assert!(markdown.contains("| nginx  | not measured |"), "{markdown}");
        assert!(markdown.ends_with("Not measured: nginx: not installed.\n"), "{markdown}");
    }

    #[test]
    fn a_spread_is_the_median_between_its_quartiles() {
        assert_eq!(spread(&[50.0, 10.0, 20.0, 40.0, 30.0]), "30.0 [20.0–40.0]");
        assert_eq!(spread(&[7.0, 7.0, 7.0]), "7.00");
        assert_eq!(spread(&[]), "–");
    }

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
