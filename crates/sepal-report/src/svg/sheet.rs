//! Sheets of small pictures in labelled rows.

use std::fmt::Write as _;

use super::{FAINT, INK, escape, open, shorten};

/// A sheet of pictures: rows of groups, each group with a caption. A picture is stored once however often it is shown.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// The title.
    pub title: String,
    /// PNG files.
    pub pictures: Vec<Vec<u8>>,
    /// From the top.
    pub rows: Vec<SheetRow>,
}

/// A row of a [`Sheet`].
#[derive(Debug, Clone, Default)]
pub struct SheetRow {
    /// What it shows.
    pub label: String,
    /// From the left: a caption, and pictures by their index in [`Sheet::pictures`].
    pub groups: Vec<(String, Vec<usize>)>,
}

/// Width and height of a picture on the sheet.
const SIDE: f64 = 32.0;
const GAP: f64 = 2.0;
const MARGIN: f64 = 16.0;
const HEAD: f64 = 44.0;
const LABEL: f64 = 18.0;
const CAPTION: f64 = 14.0;
const BETWEEN_GROUPS: f64 = 14.0;

impl Sheet {
    /// The sheet as SVG, its pictures inside. Pictures that are not there are left blank.
    #[must_use]
    pub fn svg(&self) -> String {
        let group = |shown: usize| shown.max(2) as f64 * (SIDE + GAP) + BETWEEN_GROUPS;
        let row_width = |row: &SheetRow| row.groups.iter().map(|(_, shown)| group(shown.len())).sum::<f64>();
        let width = self.rows.iter().map(row_width).fold(400.0, f64::max) + 2.0 * MARGIN;
        let row_height = LABEL + CAPTION + SIDE + 10.0;
        let height = HEAD + row_height * self.rows.len() as f64 + MARGIN;
        let mut out = String::new();
        open(&mut out, width, height, &self.title);
        let title = escape(&shorten(&self.title, 120));
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "<text x=\"{MARGIN}\" y=\"26\" font-size=\"16\" font-weight=\"600\" fill=\"{INK}\">{title}</text>\n<defs>\n"
        );
        for (index, png) in self.pictures.iter().enumerate() {
            let _ = writeln!(
                out,
                "<image id=\"p{index}\" width=\"{SIDE}\" height=\"{SIDE}\" href=\"data:image/png;base64,{}\"/>",
                base64(png)
            );
        }
        out.push_str("</defs>\n");
        for (index, row) in self.rows.iter().enumerate() {
            let top = HEAD + row_height * index as f64;
            let label = escape(&shorten(&row.label, 120));
            let _ = writeln!(
                out,
                "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"12\" fill=\"{INK}\">{label}</text>",
                top + 13.0
            );
            let mut left = MARGIN;
            for (caption, shown) in &row.groups {
                let caption = escape(&shorten(caption, (group(shown.len()) / 5.5) as usize));
                let _ = writeln!(
                    out,
                    "<text x=\"{left:.0}\" y=\"{:.0}\" font-size=\"10\" fill=\"{FAINT}\">{caption}</text>",
                    top + LABEL + 10.0
                );
                for (place, &picture) in shown.iter().enumerate() {
                    if picture < self.pictures.len() {
                        let x = left + place as f64 * (SIDE + GAP);
                        let y = top + LABEL + CAPTION;
                        let _ = writeln!(out, "<use href=\"#p{picture}\" x=\"{x:.0}\" y=\"{y:.0}\"/>");
                    }
                }
                left += group(shown.len());
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Bytes in base 64 (RFC 4648, §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            match digit <= chunk.len() {
                true => out.push(char::from(DIGITS[(word >> (18 - 6 * digit)) as usize & 63])),
                false => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        let of = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(of, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn pictures_are_stored_once_and_shown_where_they_belong() {
        let groups = vec![("unit 1: <cat>".into(), vec![0, 1]), ("unit 2".into(), vec![1, 7])];
        let rows = vec![SheetRow { label: "a & b".into(), groups }];
        let sheet = Sheet { title: "units".into(), pictures: vec![b"foo".to_vec(), b"bar".to_vec()], rows };
        let svg = sheet.svg();
        assert_eq!((svg.matches("Zm9v").count(), svg.matches("#p1\"").count(), svg.matches("#p7").count()), (1, 2, 0));
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;cat&gt;") && svg.ends_with("</svg>\n"));
    }
}
