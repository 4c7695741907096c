//! What the dilated branches of an ESP module see, with and without hierarchical feature fusion (Mehta et al. 2018,
//! arXiv:1803.06815, §3.2 and figure 1).
//!
//! A 3×3 convolution of dilation d reads nine pixels that are d apart, and none between. On the module as it is built into networks,
//! with every branch smoothing by the same kernel, an impulse shows which pixels a branch reads and how much of its
//! response repeats with the period d, which is the checkerboard that one sees in its maps.

use std::fmt::Write as _;
use std::sync::Arc;

use sepal_graph::{Meta, Model, Shape, Weights};
use sepal_runtime::{CompileOptions, compile};
use sepal_zoo::blocks::{DILATIONS, blocks};
use sepal_zoo::{Place, Style};

use super::{Finding, Findings, Study, StudyError};

pub(super) const STUDY: Study = Study {
    name: "gridding",
    claim: "Adding the branches of an ESP module by rising dilation takes the grid out of what they see (Mehta et al. 2018)",
    run,
};

/// Height and width of the map: the widest branch reads 33 pixels.
const SIDE: usize = 64;
const MIDDLE: usize = SIDE / 2;
/// Each branch smooths: the outer product of this with itself, which sums to 1.
const SMOOTH: [f32; 3] = [0.25, 0.5, 0.25];

/// What one branch does to an impulse.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Its dilation.
    pub dilation: usize,
    /// Its response, 64×64, the impulse being at row and column 32.
    pub response: Vec<f32>,
    /// The share of the pixels between its outermost ones that it reads.
    pub coverage: f64,
    /// The share of the response's energy that lies beyond the frequencies that a grid of its dilation can tell apart: what
    /// repeats with the grid. For one pixel beside none it would be 1 − 1/d².
    pub checkerboard: f64,
}

/// All branches, in both forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Gridding {
    /// Branches side by side.
    pub without: Vec<Branch>,
    /// With hierarchical feature fusion.
    pub with: Vec<Branch>,
}

/// Runs the ESP module of the zoo on an impulse, with and without fusion.
///
/// # Errors
/// None in practice; those of the crates it goes through.
pub fn gridding() -> Result<Gridding, StudyError> {
    Ok(Gridding { without: branches(false)?, with: branches(true)? })
}

fn branches(hff: bool) -> Result<Vec<Branch>, StudyError> {
    let esp = blocks().iter().find(|row| row.name == "esp");
    let Some(esp) = esp else { return Ok(Vec::new()) };
    // One channel for each branch, so that the module's output shows them one by one.
    let graph =
        esp.graph(Shape::chw(1, SIDE, SIDE)?, Place::new(DILATIONS.len(), 3), &Style { hff, ..Style::default() })?;
    let mut weights = Weights::init(&graph, 0)?;
    for (path, tensor) in weights.iter_mut() {
        match tensor.data_mut() {
            [reduce] => *reduce = 1.0,
            kernel if kernel.len() == 9 => {
                kernel.iter_mut().enumerate().for_each(|(at, value)| *value = SMOOTH[at / 3] * SMOOTH[at % 3]);
            }
            other => unreachable_kernel(path, other.len())?,
        }
    }
    let plan = Arc::new(compile(&Model::new(graph, weights, Meta::default())?, &CompileOptions::default())?);
    let mut impulse = vec![0.0; SIDE * SIDE];
    impulse[MIDDLE * SIDE + MIDDLE] = 1.0;
    let mut maps = vec![0.0; DILATIONS.len() * SIDE * SIDE];
    plan.session().run(&impulse, &mut maps)?;
    let maps = maps.chunks_exact(SIDE * SIDE).zip(DILATIONS);
    Ok(maps.map(|(response, dilation)| Branch::new(dilation, response.to_vec())).collect())
}

fn unreachable_kernel(path: &str, len: usize) -> Result<(), StudyError> {
    Err(sepal_graph::Error::Meta(format!("`{path}` has {len} weights, where a branch has nine")).into())
}

impl Branch {
    fn new(dilation: usize, response: Vec<f32>) -> Self {
        let read = response.iter().filter(|value| **value != 0.0).count();
        let side = 2 * dilation + 1;
        Self {
            dilation,
            coverage: read as f64 / (side * side) as f64,
            checkerboard: repeated(&response, dilation),
            response,
        }
    }
}

/// The share of a response's energy at frequencies beyond half a period in `dilation` pixels, vertical or horizontal.
fn repeated(response: &[f32], dilation: usize) -> f64 {
    // The transform of rows, then of columns, real and imaginary parts.
    let rows = transform(&response.iter().map(|&value| [f64::from(value), 0.0]).collect::<Vec<_>>());
    let columns = transform(&transposed(&rows));
    let inside = |frequency: usize| 2 * dilation * frequency.min(SIDE - frequency) <= SIDE;
    let (mut all, mut low) = (0.0, 0.0);
    for (at, [re, im]) in columns.into_iter().enumerate() {
        let energy = re * re + im * im;
        all += energy;
        low += if inside(at / SIDE) && inside(at % SIDE) { energy } else { 0.0 };
    }
    1.0 - low / all
}

fn transposed(map: &[[f64; 2]]) -> Vec<[f64; 2]> {
    (0..map.len()).map(|at| map[at % SIDE * SIDE + at / SIDE]).collect()
}

/// The discrete Fourier transform of every row.
fn transform(map: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let turn: Vec<[f64; 2]> = (0..SIDE)
        .map(|k| (-std::f64::consts::TAU * k as f64 / SIDE as f64).sin_cos())
        .map(|(sin, cos)| [cos, sin])
        .collect();
    let bin = |row: &[[f64; 2]], k: usize| {
        row.iter().enumerate().fold([0.0; 2], |[re, im], (x, [a, b])| {
            let [cos, sin] = turn[k * x % SIDE];
            [re + a * cos - b * sin, im + a * sin + b * cos]
        })
    };
    map.chunks_exact(SIDE).flat_map(|row| (0..SIDE).map(move |k| (row, k))).map(|(row, k)| bin(row, k)).collect()
}

fn run() -> Result<Findings, StudyError> {
    let found = gridding()?;
    let mut figures = Vec::new();
    for (form, branches) in [("without HFF", &found.without), ("with HFF", &found.with)] {
        for branch in branches.iter().skip(1) {
            let d = branch.dilation;
            figures.push(Finding { name: format!("pixels read, dilation {d}, {form}"), value: branch.coverage });
            figures.push(Finding {
                name: format!("checkerboard energy, dilation {d}, {form}"),
                value: branch.checkerboard,
            });
        }
    }
    // The branch of dilation 2 is the first to be added to.
    let pairs = found.without.iter().zip(&found.with).skip(2);
    let holds = pairs.clone().count() > 0
        && pairs
            .clone()
            .all(|(without, with)| with.checkerboard < without.checkerboard && with.coverage > without.coverage);
    Ok(Findings { figures, holds, pictures: vec![("gridding.svg", gridding_svg(&found))] })
}

/// Draws what every branch reads, a row for each form: the darker, the more a pixel counts.
#[must_use]
pub fn gridding_svg(found: &Gridding) -> String {
    const CELL: usize = 4;
    const SHOWN: std::ops::RangeInclusive<usize> = MIDDLE - 17..=MIDDLE + 17;
    let panel = SHOWN.count() * CELL;
    let (width, height) = (DILATIONS.len() * (panel + 12) + 90, 2 * (panel + 34) + 10);
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>What the branches of an ESP module read</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (row, (form, branches)) in [("without HFF", &found.without), ("with HFF", &found.with)].into_iter().enumerate()
    {
        let top = row * (panel + 34) + 24;
        let _ = writeln!(svg, "<text x=\"6\" y=\"{}\">{form}</text>", top + panel / 2);
        for (column, branch) in branches.iter().enumerate() {
            let left = 84 + column * (panel + 12);
            let _ = writeln!(
                svg,
                "<text x=\"{left}\" y=\"{}\">dilation {}: {:.0} % read, grid {:.2}</text>\n<rect x=\"{left}\" y=\"{top}\" \
                 width=\"{panel}\" height=\"{panel}\" fill=\"#f3f5f7\"/>",
                top - 6,
                branch.dilation,
                100.0 * branch.coverage,
                branch.checkerboard,
            );
            let most = branch.response.iter().fold(0.0f32, |most, &value| most.max(value));
            for (y, x) in SHOWN.flat_map(|y| SHOWN.map(move |x| (y, x))) {
                let value = branch.response[y * SIDE + x];
                if value > 0.0 {
                    let (px, py) = (left + (x - SHOWN.start()) * CELL, top + (y - SHOWN.start()) * CELL);
                    let shade = 0.15 + 0.85 * value / most;
                    let _ = writeln!(
                        svg,
                        "<rect x=\"{px}\" y=\"{py}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"#1f5fa8\" fill-opacity=\"{shade:.2}\"/>"
                    );
                }
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fusion_fills_the_grid() {
        let found = gridding().unwrap();
        let read = |branches: &[Branch]| -> Vec<usize> {
            branches.iter().map(|branch| branch.response.iter().filter(|value| **value != 0.0).count()).collect()
        };
        assert_eq!(read(&found.without), [9; 5]);
        // Eight more pixels for each branch that is added: all read the middle.
        assert_eq!(read(&found.with), [9, 9, 17, 25, 33]);
        assert!(run().unwrap().holds);
        // A kernel of dilation d repeats its response d times in each direction of frequency; what is beyond the first is 1 − 1/d².
        let widest = &found.without[4];
        assert!((widest.checkerboard - (1.0 - 1.0 / 256.0)).abs() < 0.01, "{}", widest.checkerboard);
        assert!(found.without[0].checkerboard.abs() < 1e-9, "{}", found.without[0].checkerboard);
        let svg = gridding_svg(&found);
        assert!(svg.starts_with("<svg") && svg.matches("with HFF").count() == 1 && svg.ends_with("</svg>\n"));
    }
}
