//! Columns as kubectl prints them: left-aligned, three spaces apart, no trailing space.

/// The narrowest column without what separates it from the next.
const NARROWEST: usize = 3;

/// The rows under their header; an empty table is its header alone.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    self::rows(&[vec![header], rows.to_vec()].concat())
}

/// Rows that line up.
pub fn rows(rows: &[Vec<String>]) -> String {
    let mut widths = vec![NARROWEST; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width + 3 - cell.chars().count().min(*width)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "x".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(super::table(&["N", "M"], &rows), "N      M\na      x\nlong\n");
    }
}
