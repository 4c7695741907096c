//! A cell of a heat map.

use std::fmt::Write as _;

use super::INK;

/// Cells smaller than this hold no number.
pub(super) const READABLE: f64 = 17.0;

/// A rectangle at `x`, `y` whose shade is `depth`, 0 to 1, and which holds `text` where there is room.
pub(super) fn cell(out: &mut String, [x, y]: [f64; 2], [width, height]: [f64; 2], depth: f64, text: &str) {
    let mix = |from: f64, to: f64| (from + (to - from) * depth).round() as u8;
    let (r, g, b) = (mix(244.0, 8.0), mix(249.0, 81.0), mix(254.0, 156.0));
    let _ = write!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>"
    );
    if width.min(height) >= READABLE {
        let font = (width * 0.9 / (0.62 * text.len() as f64)).min(height * 0.45).min(13.0);
        let ink = if depth > 0.55 { "#ffffff" } else { INK };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{font:.1}\" text-anchor=\"middle\" fill=\"{ink}\">{text}</text>",
            x + width / 2.0,
            y + height / 2.0 + font * 0.35
        );
    }
}
