//! Tables as `helm` prints them: columns padded with blanks, a tab between them.

/// The rows under each other.
pub fn table(rows: &[Vec<String>], widest: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cut = |cell: &str| -> String {
        match cell.chars().count() > widest {
            true => cell.chars().take(widest.saturating_sub(3)).chain("...".chars()).collect(),
            false => cell.to_owned(),
        }
    };
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cut(cell).chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| -> String {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", cut(cell)));
        cells.collect::<Vec<_>>().join("\t")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
