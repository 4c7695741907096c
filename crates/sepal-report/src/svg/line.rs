//! Line plots, several panels in one picture.

use std::fmt::Write as _;

use super::axis::{Axis, drawable};
use super::{FAINT, GRID, INK, escape, open, shorten, text_width};

/// Colours told apart by people with any colour vision (Okabe and Ito's set, the yellow left out: too pale on white).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555"];
const LEFT: f64 = 68.0;
const RIGHT: f64 = 22.0;
const TITLE: f64 = 34.0;
const LEGEND_ROW: f64 = 20.0;
const PLOT: f64 = 230.0;
const BELOW: f64 = 52.0;
/// Below this many points each is marked, so that the reader sees where was measured.
const MARKED: usize = 40;

/// One line of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// (x, y) in the order drawn. A point that is not finite leaves a gap.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// A series of the given points.
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self { name: name.into(), points: points.into_iter().collect() }
    }
}

/// A panel: axes, grid, legend and lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinePlot {
    /// Above the panel.
    pub title: String,
    /// Below the x axis.
    pub x_label: String,
    /// Beside the y axis.
    pub y_label: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
    /// Ends of the y axis; chosen from the points if `None`.
    pub y_range: Option<(f64, f64)>,
}

impl LinePlot {
    /// Lines over the epochs of training.
    pub fn by_epoch(title: &str, y_label: &str, y_range: Option<(f64, f64)>, series: Vec<Series>) -> Self {
        let [title, x_label, y_label] = [title, "epoch", y_label].map(str::to_owned);
        Self { title, x_label, y_label, series, y_range }
    }

    /// The panel alone as a self-contained SVG document.
    pub fn svg(&self) -> String {
        Figure { panels: vec![self.clone()], ..Figure::default() }.svg()
    }
}

/// Panels stacked in one picture, for instance loss above accuracy.
///
/// ```
/// use sepal_report::{Figure, LinePlot, Series};
///
/// let loss = LinePlot {
///     title: "Loss".into(),
///     x_label: "epoch".into(),
///     y_label: "cross-entropy".into(),
///     series: vec![Series::new("train", [(1.0, 2.1), (2.0, 1.2)])],
///     ..LinePlot::default()
/// };
/// let svg = Figure { panels: vec![loss], ..Figure::default() }.svg();
/// assert!(svg.starts_with("<svg"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// From top to bottom.
    pub panels: Vec<LinePlot>,
    /// Width of the picture in pixels, at least 240.
    pub width: u32,
}

impl Default for Figure {
    fn default() -> Self {
        Self { panels: Vec::new(), width: 760 }
    }
}

impl Figure {
    /// The picture as a self-contained SVG document.
    pub fn svg(&self) -> String {
        let width = f64::from(self.width.clamp(240, 20_000));
        let legends: Vec<Legend> =
            self.panels.iter().map(|p| Legend::lay_out(&p.series, width - LEFT - RIGHT)).collect();
        let height: f64 = legends.iter().map(Legend::panel_height).sum::<f64>() + 8.0;
        let titles: Vec<&str> = self.panels.iter().map(|p| p.title.as_str()).collect();
        let mut out = String::new();
        open(&mut out, width, height, &titles.join(", "));
        let mut top = 0.0;
        for (panel, legend) in self.panels.iter().zip(&legends) {
            draw(&mut out, panel, legend, top, width);
            top += legend.panel_height();
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Where each legend entry stands, relative to the legend's top left.
struct Legend {
    at: Vec<(f64, f64)>,
    rows: usize,
}

impl Legend {
    fn lay_out(series: &[Series], room: f64) -> Self {
        let (mut x, mut row) = (0.0, 0usize);
        let mut at = Vec::with_capacity(series.len());
        for s in series {
            let wide = 24.0 + text_width(&legend_name(s), 12.0) + 18.0;
            if x > 0.0 && x + wide > room {
                x = 0.0;
                row += 1;
            }
            at.push((x, row as f64 * LEGEND_ROW));
            x += wide;
        }
        let rows = if series.is_empty() { 0 } else { row + 1 };
        Self { at, rows }
    }

    fn height(&self) -> f64 {
        self.rows as f64 * LEGEND_ROW
    }

    fn panel_height(&self) -> f64 {
        TITLE + self.height() + 6.0 + PLOT + BELOW
    }
}

fn legend_name(s: &Series) -> String {
    shorten(&s.name, 40)
}

/// Least and greatest of the drawable values.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| drawable(*v)).fold(None, |acc, v| match acc {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

fn draw(out: &mut String, panel: &LinePlot, legend: &Legend, top: f64, width: f64) {
    // Writing to a String cannot fail, hence the ignored results here and below.
    let (right, middle) = (width - RIGHT, (LEFT + width - RIGHT) / 2.0);
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"15\" font-weight=\"600\" fill=\"{INK}\">{}</text>",
        top + 23.0,
        escape(&panel.title)
    );
    for (i, (s, &(x, y))) in panel.series.iter().zip(&legend.at).enumerate() {
        let (x, y) = (LEFT + x, top + TITLE + 10.0 + y);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"{}\" stroke-width=\"3\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" fill=\"{INK}\">{}</text>",
            x + 18.0,
            colour(i),
            x + 24.0,
            y + 4.0,
            escape(&legend_name(s))
        );
    }
    let plot_top = top + TITLE + legend.height() + 6.0;
    let plot_bottom = plot_top + PLOT;
    let points = || panel.series.iter().flat_map(|s| s.points.iter());
    let shown = || points().filter(|p| drawable(p.0) && drawable(p.1));
    let whole = shown().all(|p| p.0 == p.0.trunc());
    let xs = extent(shown().map(|p| p.0));
    let given = panel.y_range.filter(|(a, b)| drawable(*a) && drawable(*b));
    let ys = given.or_else(|| extent(shown().map(|p| p.1)));
    let (x_low, x_high) = xs.unwrap_or((0.0, 1.0));
    let (y_low, y_high) = ys.unwrap_or((0.0, 1.0));
    let x_ticks = ((right - LEFT) / 80.0).clamp(3.0, 12.0) as usize;
    let x = Axis::new(x_low, x_high, x_ticks, false, whole);
    let y = Axis::new(y_low, y_high, 5, given.is_none(), false);
    let to_x = |v: f64| LEFT + x.place(v) * (right - LEFT);
    let to_y = |v: f64| plot_bottom - y.place(v) * PLOT;

    for &t in &y.ticks {
        let at = to_y(t);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\" stroke=\"{GRID}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"end\" fill=\"{FAINT}\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            y.label(t)
        );
    }
    for &t in &x.ticks {
        let at = to_x(t);
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{plot_top:.1}\" x2=\"{at:.1}\" y2=\"{plot_bottom:.1}\" stroke=\"{GRID}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" font-size=\"11\" text-anchor=\"middle\" fill=\"{FAINT}\">{}</text>",
            plot_bottom + 17.0,
            x.label(t)
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {plot_top:.1}V{plot_bottom:.1}H{right:.1}\" fill=\"none\" stroke=\"{FAINT}\"/>\
         <text x=\"{middle:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\" fill=\"{INK}\">{}</text>\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" font-size=\"12\" text-anchor=\"middle\" fill=\"{INK}\">{}</text>",
        plot_bottom + 36.0,
        escape(&panel.x_label),
        (plot_top + plot_bottom) / 2.0,
        escape(&panel.y_label)
    );
    if xs.is_none() {
        let _ = writeln!(
            out,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" font-size=\"13\" text-anchor=\"middle\" fill=\"{FAINT}\">no data</text>",
            (plot_top + plot_bottom) / 2.0
        );
    }
    for (i, s) in panel.series.iter().enumerate() {
        let place = |p: (f64, f64)| {
            // A given y range may leave points outside: they are held at the edge rather than drawn over the title.
            (to_x(p.0), to_y(p.1).clamp(plot_top, plot_bottom))
        };
        draw_series(out, s, colour(i), place);
    }
}

fn colour(i: usize) -> &'static str {
    COLOURS[i % COLOURS.len()]
}

fn draw_series(out: &mut String, s: &Series, colour: &str, place: impl Fn((f64, f64)) -> (f64, f64)) {
    let fine = |p: &(f64, f64)| drawable(p.0) && drawable(p.1);
    let mark_all = s.points.len() <= MARKED;
    let mut marks = String::new();
    for run in s.points.split(|p| !fine(p)).filter(|run| !run.is_empty()) {
        let mut d = String::new();
        for (i, &p) in run.iter().enumerate() {
            let (x, y) = place(p);
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
            // A point between two gaps has no line to show it.
            if mark_all || run.len() == 1 {
                let _ = write!(marks, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>");
            }
        }
        if run.len() > 1 {
            let _ = writeln!(
                out,
                "<path d=\"{d}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" \
                 stroke-linecap=\"round\"/>"
            );
        }
    }
    if !marks.is_empty() {
        out.push_str(&marks);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_well_formed;
    use super::*;

    fn panel(points: &[(f64, f64)]) -> LinePlot {
        LinePlot {
            title: "Loss <train> & \"val\"".into(),
            x_label: "epoch\u{0}".into(),
            y_label: "a < b".into(),
            series: vec![Series::new("one & <two>", points.iter().copied())],
            y_range: None,
        }
    }

    #[test]
    fn odd_series_make_well_formed_pictures() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let cases: &[&[(f64, f64)]] = &[
            &[],
            &[(1.0, 2.0)],
            &[(nan, nan)],
            &[(1.0, inf), (2.0, -inf), (3.0, nan)],
            &[(1.0, 1.0), (2.0, nan), (3.0, 2.0), (4.0, 1.0)],
            &[(0.0, 0.0), (0.0, 0.0)],
            &[(1.0, 1e308), (2.0, -1e308)],
            &[(1.0, 1e99), (2.0, -1e99)],
            &[(1.0, 5e-324), (2.0, 0.0)],
            &[(-1e18, 1.0), (1e18, 1.0)],
        ];
        for &points in cases {
            for y_range in [None, Some((0.0, 1.0)), Some((1.0, 1.0)), Some((nan, 1.0))] {
                let plot = LinePlot { y_range, ..panel(points) };
                assert_well_formed(&plot.svg());
            }
        }
        assert_well_formed(&Figure::default().svg());
        assert_well_formed(&LinePlot::default().svg());
        assert!(panel(&[]).svg().contains("no data"));
    }

    #[test]
    fn a_gap_breaks_the_line_and_lone_points_are_marked() {
        let p = panel(&[(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 1.0)]);
        let svg = p.svg();
        assert_eq!(svg.matches("stroke-linejoin").count(), 1);
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn legend_wraps_and_panels_stack() {
        let many = LinePlot {
            series: (0..12).map(|i| Series::new(format!("mobilenet_v1:width=0.{i}"), [(0.0, f64::from(i))])).collect(),
            ..LinePlot::default()
        };
        let legend = Legend::lay_out(&many.series, 670.0);
        assert!(legend.rows >= 3 && legend.at.iter().all(|p| p.0 < 670.0));
        let figure = Figure { panels: vec![panel(&[(1.0, 1.0)]), many], ..Figure::default() };
        assert_well_formed(&figure.svg());
    }
}
