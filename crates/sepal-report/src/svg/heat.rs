//! A table of shares as a heat map.

use std::fmt::Write as _;

use super::cell::cell;
use super::{FAINT, INK, escape, open, shorten, text_width};

const NAME_LIMIT: usize = 40;
const FONT: f64 = 12.0;
/// Height of a row.
const ROW: f64 = 24.0;
/// Least width of a column.
const COLUMN: f64 = 58.0;

/// Shares, 0 to 1, by row and column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeatMap {
    /// What it shows.
    pub title: String,
    /// More about it.
    pub subtitle: String,
    /// Names of the rows, from the top.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Row-major; what is missing or no number is not drawn.
    pub values: Vec<f64>,
}

impl HeatMap {
    /// A self-contained SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let names = |list: &[String]| list.iter().map(|name| shorten(name, NAME_LIMIT)).collect::<Vec<_>>();
        let widest = |list: &[String]| list.iter().map(|name| text_width(name, FONT)).fold(0.0, f64::max);
        let (rows, columns) = (names(&self.rows), names(&self.columns));
        let (left, top) = (24.0 + widest(&rows), 82.0);
        let column = COLUMN.max(widest(&columns) + 10.0);
        let heading = text_width(&self.subtitle, FONT).max(text_width(&self.title, 15.0));
        let width = (left + column * columns.len() as f64 + 20.0).max(heading + 40.0);
        let height = top + ROW * rows.len() as f64 + 20.0;

        // Writing to a String cannot fail, hence the ignored results.
        let mut out = String::new();
        open(&mut out, width, height, &self.title);
        let _ = writeln!(
            out,
            "<text x=\"20\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"{INK}\">{}</text>\
             <text x=\"20\" y=\"42\" font-size=\"12\" fill=\"{FAINT}\">{}</text>",
            escape(&self.title),
            escape(&self.subtitle)
        );
        for (at, name) in columns.iter().enumerate() {
            let x = left + (at as f64 + 0.5) * column;
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"{FONT}\" text-anchor=\"middle\" fill=\"{INK}\">{}</text>",
                top - 8.0,
                escape(name)
            );
        }
        for (at, name) in rows.iter().enumerate() {
            let y = top + at as f64 * ROW;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{FONT}\" text-anchor=\"end\" fill=\"{INK}\">{}</text>",
                left - 7.0,
                y + ROW / 2.0 + FONT * 0.35,
                escape(name)
            );
            let values = self.values.iter().skip(at * columns.len()).take(columns.len()).enumerate();
            for (column_at, &value) in values.filter(|(_, value)| value.is_finite()) {
                let x = left + column_at as f64 * column;
                cell(&mut out, [x, y], [column, ROW], value.clamp(0.0, 1.0), &format!("{value:.2}"));
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_well_formed;
    use super::*;

    #[test]
    fn every_share_stands_in_its_place() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let map = HeatMap {
            title: "Gates <x>".into(),
            subtitle: "mean & such".into(),
            rows: names(&["stem.depthwise", "last"]),
            columns: names(&["cifar", "flowers", "digits"]),
            values: vec![0.25, 0.5, 0.25, 1.0, 0.0, f64::NAN],
        };
        let svg = map.svg();
        assert_well_formed(&svg);
        for text in [
            "Gates &lt;x&gt;",
            ">stem.depthwise<",
            ">flowers<",
            ">0.50<",
            ">1.00<",
            "#0851 9c".replace(' ', "").as_str(),
        ] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        assert_eq!(svg.matches("<rect").count(), 1 + 5);
        assert_well_formed(&HeatMap::default().svg());
    }
}
