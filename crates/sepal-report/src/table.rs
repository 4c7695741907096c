//! Aligned plain-text tables.

use std::fmt;

/// Which edge of its column a cell is set against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers, so that their digits line up.
    Right,
}

/// A table for a terminal: a head, a rule, rows. Its [`Display`](fmt::Display) form ends without a newline and its
/// lines without trailing blanks.
///
/// Column widths count characters, so wide (East Asian) glyphs are not aligned exactly.
///
/// ```
/// use sepal_report::Table;
///
/// let mut t = Table::new().left("layer").right("params");
/// t.row(["stem", "864"]);
/// t.rule();
/// t.row(["total", "4,231,976"]);
/// assert_eq!(t.to_string(), "\
/// layer     params
/// ─────  ─────────
/// stem         864
/// ─────  ─────────
/// total  4,231,976");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
enum Line {
    Cells(Vec<String>),
    Rule,
}

impl Table {
    /// A table without columns or rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column to the right of those there are.
    pub fn column(mut self, head: impl Into<String>, align: Align) -> Self {
        self.columns.push((one_line(head.into()), align));
        self
    }

    /// Adds a column of text.
    pub fn left(self, head: impl Into<String>) -> Self {
        self.column(head, Align::Left)
    }

    /// Adds a column of numbers.
    pub fn right(self, head: impl Into<String>) -> Self {
        self.column(head, Align::Right)
    }

    /// Adds a row. Cells that are missing stay blank; cells beyond the last column open a column without a head, so
    /// that nothing is lost. Line breaks and other control characters inside a cell become blanks.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let cells: Vec<String> = cells.into_iter().map(|c| one_line(c.into())).collect();
        while self.columns.len() < cells.len() {
            self.columns.push((String::new(), Align::Left));
        }
        self.lines.push(Line::Cells(cells));
        self
    }

    /// Adds a rule across the table, for instance above totals.
    pub fn rule(&mut self) -> &mut Self {
        self.lines.push(Line::Rule);
        self
    }

    /// Number of rows, rules not counted.
    pub fn len(&self) -> usize {
        self.lines.iter().filter(|l| matches!(l, Line::Cells(_))).count()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(head, _)| head.chars().count()).collect();
        for line in &self.lines {
            if let Line::Cells(cells) = line {
                for (w, cell) in widths.iter_mut().zip(cells) {
                    *w = (*w).max(cell.chars().count());
                }
            }
        }
        widths
    }

    fn line<'a>(&self, widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
        let mut out = String::new();
        let cells = cells.chain(std::iter::repeat(""));
        for (((_, align), &width), cell) in self.columns.iter().zip(widths).zip(cells) {
            let fill = width.saturating_sub(cell.chars().count());
            match align {
                Align::Left => {
                    out.push_str(cell);
                    out.extend(std::iter::repeat_n(' ', fill));
                }
                Align::Right => {
                    out.extend(std::iter::repeat_n(' ', fill));
                    out.push_str(cell);
                }
            }
            out.push_str("  ");
        }
        out.truncate(out.trim_end().len());
        out
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule = {
            let dashes: Vec<String> = widths.iter().map(|&w| "─".repeat(w)).collect();
            dashes.join("  ").trim_end().to_owned()
        };
        f.write_str(&self.line(&widths, self.columns.iter().map(|(head, _)| head.as_str())))?;
        write!(f, "\n{rule}")?;
        for line in &self.lines {
            match line {
                Line::Rule => write!(f, "\n{rule}")?,
                Line::Cells(cells) => write!(f, "\n{}", self.line(&widths, cells.iter().map(String::as_str)))?,
            }
        }
        Ok(())
    }
}

/// A class name with a line break or an escape sequence must not break the table or the terminal.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_by_characters_not_bytes() {
        let mut t = Table::new().left("shape").right("n");
        t.row(["3×3", "9"]).row(["plain", "10"]);
        assert_eq!(t.to_string(), "shape   n\n─────  ──\n3×3     9\nplain  10");
        assert_eq!(t.len(), 2);
    }

    #[test]
    fn short_and_long_rows_lose_nothing() {
        let mut t = Table::new().left("a").right("b");
        t.row(["x"]).row(["y", "1", "note"]);
        assert_eq!(t.to_string(), "a  b\n─  ─  ────\nx\ny  1  note");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut t = Table::new().left("class");
        t.row(["a\nb\u{1b}[31m"]);
        assert_eq!(t.to_string(), "class\n───────\na b [31m".replace("───────\n", "────────\n"));
    }

    #[test]
    fn empty() {
        assert!(Table::new().is_empty());
        assert_eq!(Table::new().to_string(), "\n");
        assert_eq!(Table::new().left("a").to_string(), "a\n─");
    }
}
