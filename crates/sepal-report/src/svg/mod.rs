//! Self-contained SVG pictures: no scripts, no fonts, no references.

mod axis;
mod cell;
mod confusion;
mod heat;
mod line;
mod sheet;

pub use confusion::confusion_svg;
pub use heat::HeatMap;
pub use line::{Figure, LinePlot, Series};
pub use sheet::{Sheet, SheetRow};

/// Falls back from a reader's system font to what every renderer has.
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif";
const INK: &str = "#24292f";
const FAINT: &str = "#57606a";
const GRID: &str = "#e3e7eb";

/// Text as XML character data or attribute value. Characters that XML 1.0 forbids (most controls) become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// At most `limit` characters, the last an ellipsis where text was cut.
fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(limit.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Estimated width in pixels of `text` at `size` pixels: there is no font to ask, and the average glyph of a
/// sans-serif is a little over half as wide as it is high. East Asian glyphs are square.
fn text_width(text: &str, size: f64) -> f64 {
    let em: f64 = text.chars().map(|c| if c >= '\u{1100}' { 1.0 } else { 0.58 }).sum();
    em * size
}

fn open(out: &mut String, width: f64, height: f64, title: &str) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"{FONT}\" role=\"img\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escape(title)
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Panics unless `xml` is one element with properly nested tags, quoted attributes and escaped text.
    pub(crate) fn assert_well_formed(xml: &str) {
        let mut stack: Vec<String> = Vec::new();
        let mut rest = xml.trim_end();
        let mut roots = 0;
        while let Some(at) = rest.find('<') {
            check_text(&rest[..at]);
            let end = rest[at..].find('>').expect("a tag is closed") + at;
            let tag = &rest[at + 1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(stack.pop().as_deref(), Some(name), "closing tag");
                continue;
            }
            let (body, empty) = match tag.strip_suffix('/') {
                Some(b) => (b, true),
                None => (tag, false),
            };
            let name = body.split_whitespace().next().expect("a tag has a name");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
            let quoted: Vec<&str> = body.split('"').collect();
            assert!(quoted.len() % 2 == 1, "quotes pair up in <{tag}>");
            for (i, piece) in quoted.iter().enumerate() {
                check_text(piece);
                if i % 2 == 0 && i + 1 < quoted.len() {
                    assert!(piece.ends_with('='), "attribute in <{tag}>");
                }
            }
            if stack.is_empty() {
                roots += 1;
            }
            if !empty {
                stack.push(name.to_owned());
            }
        }
        assert!(rest.is_empty() && stack.is_empty() && roots == 1);
        assert!(!xml.contains("NaN") && !xml.contains("inf"), "{xml}");
    }

    fn check_text(text: &str) {
        assert!(!text.contains(['<', '>']));
        assert!(!text.chars().any(|c| c < ' ' && c != '\n'));
        for (i, _) in text.match_indices('&') {
            let entity = &text[i..];
            assert!(["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().any(|e| entity.starts_with(e)), "{entity}");
        }
    }

    #[test]
    fn escapes_what_xml_reserves_or_forbids() {
        assert_eq!(escape("a<b>&\"c'\u{0}\u{1b}\n×"), "a&lt;b&gt;&amp;&quot;c&#39;\u{fffd}\u{fffd} ×");
    }

    #[test]
    fn shortens() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        assert_eq!(shorten("×××××", 2), "×…");
    }
}
