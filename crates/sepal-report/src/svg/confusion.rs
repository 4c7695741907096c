//! Confusion matrix as a heat map.

use std::fmt::Write as _;

use super::cell::READABLE;
use super::{FAINT, GRID, INK, escape, open, shorten, text_width};
use crate::number::{grouped, percent};

const NAME_LIMIT: usize = 22;
/// Side in pixels that the cells together aim at.
const SIDE: f64 = 620.0;

/// A confusion matrix as a self-contained SVG document: rows are the true classes, columns the predicted ones.
///
/// `counts` is row-major, `counts[truth * names.len() + predicted]`; entries that are missing count as zero. A cell's
/// shade is its share of its row, so that rare classes are as legible as frequent ones; the column at the right is
/// the diagonal's share, the recall. Cells that are zero are not drawn, which keeps a thousand classes a small file.
pub fn confusion_svg<S: AsRef<str>>(names: &[S], counts: &[u64]) -> String {
    let n = names.len();
    let cell = (SIDE / n.max(1) as f64).clamp(2.0, 54.0);
    let side = cell * n as f64;
    let labels: Vec<String> = names.iter().map(|s| shorten(s.as_ref(), NAME_LIMIT)).collect();
    let font = (cell * 0.72).clamp(8.0, 12.0);
    // With many classes only every so many are named, so that the names do not overlap.
    let every = ((font + 2.0) / cell).ceil().max(1.0) as usize;
    let longest = labels.iter().map(|l| text_width(l, font)).fold(0.0, f64::max);
    let left = 34.0 + longest.max(10.0) + 8.0;
    let top = 64.0;
    // Column names hang at 45 degrees; the last of them reach left, so only their depth needs room.
    let depth = longest * std::f64::consts::FRAC_1_SQRT_2 + 20.0;
    // The title needs its own width when there are few classes.
    let width = (left + side + 74.0).max(360.0);
    let height = top + side + depth + 24.0;

    let at = |truth: usize, predicted: usize| -> u64 {
        (truth * n).checked_add(predicted).and_then(|i| counts.get(i)).copied().unwrap_or(0)
    };
    let row_sum = |truth: usize| -> u128 { (0..n).map(|p| u128::from(at(truth, p))).sum() };
    let total: u128 = (0..n).map(row_sum).sum();
    let hits: u128 = (0..n).map(|i| u128::from(at(i, i))).sum();

    // Writing to a String cannot fail, hence the ignored results.
    let mut out = String::new();
    open(&mut out, width, height, "Confusion matrix");
    let score = if total == 0 {
        "no predictions".to_owned()
    } else {
        format!(
            "{} of {} right, {}",
            grouped(u64::try_from(hits).unwrap_or(u64::MAX)),
            grouped(u64::try_from(total).unwrap_or(u64::MAX)),
            percent(hits as f64 / total as f64)
        )
    };
    let _ = writeln!(
        out,
        "<text x=\"20\" y=\"24\" font-size=\"15\" font-weight=\"600\" fill=\"{INK}\">Confusion matrix</text>\
         <text x=\"20\" y=\"42\" font-size=\"12\" fill=\"{FAINT}\">{score}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"{FAINT}\">recall</text>\
         <text transform=\"translate(20 {:.1}) rotate(-90)\" font-size=\"12\" text-anchor=\"middle\" fill=\"{INK}\">true</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\" fill=\"{INK}\">predicted</text>",
        left + side + 10.0,
        top - 8.0,
        top + side / 2.0,
        left + side / 2.0,
        height - 12.0
    );
    for truth in 0..n {
        let sum = row_sum(truth);
        for predicted in 0..n {
            draw_cell(
                &mut out,
                at(truth, predicted),
                sum,
                cell,
                left + predicted as f64 * cell,
                top + truth as f64 * cell,
            );
        }
    }
    if cell >= READABLE {
        for i in 0..=n {
            let (x, y) = (left + i as f64 * cell, top + i as f64 * cell);
            let _ =
                write!(out, "<path d=\"M{left:.1} {y:.1}h{side:.1}M{x:.1} {top:.1}v{side:.1}\" stroke=\"{GRID}\"/>");
        }
    }
    let _ = writeln!(
        out,
        "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{side:.1}\" height=\"{side:.1}\" fill=\"none\" stroke=\"{FAINT}\"/>"
    );
    for (i, label) in labels.iter().enumerate().step_by(every) {
        let middle = (i as f64 + 0.5) * cell;
        let (y, x) = (top + middle + font * 0.35, left + middle + font * 0.35);
        let below = top + side + font;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"{font:.1}\" text-anchor=\"end\" fill=\"{INK}\">{text}</text>\
             <text transform=\"translate({x:.1} {below:.1}) rotate(-45)\" font-size=\"{font:.1}\" text-anchor=\"end\" fill=\"{INK}\">{text}</text>",
            left - 7.0,
            text = escape(label)
        );
        let sum = row_sum(i);
        // A class without pictures has no recall, which is not the same as a recall of 0.
        let recall = if sum == 0 { f64::NAN } else { at(i, i) as f64 / sum as f64 };
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"{font:.1}\" fill=\"{FAINT}\">{}</text>",
            left + side + 10.0,
            percent(recall)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw_cell(out: &mut String, count: u64, sum: u128, cell: f64, x: f64, y: f64) {
    if count == 0 || sum == 0 {
        return;
    }
    let share = count as f64 / sum as f64;
    // A square root keeps the few mistakes of a good classifier visible.
    let depth = share.sqrt();
    super::cell::cell(out, [x, y], [cell; 2], depth, &count.to_string());
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_well_formed;
    use super::*;

    #[test]
    fn counts_and_escaped_names_are_shown() {
        let svg = confusion_svg(&["<cat> & 'co'", "dog\u{1}"], &[41, 3, 7, 1049]);
        assert_well_formed(&svg);
        for text in ["&lt;cat&gt; &amp; &#39;co&#39;", ">41<", ">1049<", "1,090 of 1,100 right, 99.1 %", "93.2 %"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn any_size_is_well_formed() {
        for n in [0usize, 1, 2, 10, 37, 60, 200] {
            let names: Vec<String> = (0..n).map(|i| format!("class {i} of a long name indeed")).collect();
            let counts: Vec<u64> = (0..n * n).map(|i| (i as u64 * 7919) % 13).collect();
            assert_well_formed(&confusion_svg(&names, &counts));
        }
    }

    #[test]
    fn missing_or_extreme_counts_do_not_break_it() {
        assert_well_formed(&confusion_svg(&["a", "b"], &[]));
        assert_well_formed(&confusion_svg(&["a", "b"], &[u64::MAX; 9]));
        let svg = confusion_svg(&["a", "b"], &[0, 0, 1, 1]);
        assert!(svg.contains(">–<"), "a class without pictures has no recall");
    }
}
