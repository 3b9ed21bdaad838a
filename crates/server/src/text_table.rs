//! Columns for people: each as wide as its widest cell.

/// The rows as lines, two blanks between the columns. All rows have as many cells as the first.
pub(crate) fn aligned<R: AsRef<[String]>>(rows: &[R]) -> Vec<String> {
    let width = |cell: &String| cell.chars().count();
    let columns = rows.first().map_or(0, |row| row.as_ref().len());
    let cell_width = |row: &R, column: usize| row.as_ref().get(column).map_or(0, width);
    let widths: Vec<usize> =
        (0..columns).map(|column| rows.iter().map(|row| cell_width(row, column)).max().unwrap_or(0)).collect();
    let line = |row: &R| {
        let cells: Vec<String> =
            row.as_ref().iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
