//! Tables for people: columns as wide as their widest cell.

use std::fmt::Write;

/// Side of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Lays out `rows` under `header`, two spaces between columns, without trailing spaces.
pub fn layout(header: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |s: &str| s.chars().count();
    let widths: Vec<usize> = header
        .iter()
        .enumerate()
        .map(|(i, (name, _))| rows.iter().map(|row| width(&row[i])).chain([width(name)]).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut out = String::new();
        for ((cell, (_, align)), &column) in cells.zip(header).zip(&widths) {
            let space = " ".repeat(column - width(cell));
            match align {
                Align::Left => write!(out, "{cell}{space}  "),
                Align::Right => write!(out, "{space}{cell}  "),
            }
            .expect("writing to a string");
        }
        text.push_str(out.trim_end());
        text.push('\n');
    };
    line(&mut header.iter().map(|(name, _)| *name));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A whole number with thin groups of three: `50 701`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), "σ22".to_owned()]];
        let text = layout(&[("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(text, "name    n\na       1\nbcd   σ22\n");
    }

    #[test]
    fn groups_of_three() {
        assert_eq!([0, 999, 1000, 50_701, 1_234_567].map(grouped), ["0", "999", "1 000", "50 701", "1 234 567"]);
    }
}
