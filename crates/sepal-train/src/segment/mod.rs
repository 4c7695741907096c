//! A class for every pixel of a picture of any size.

mod measure;

use std::ops::Range;
use std::sync::Arc;

use sepal_data::{LabelMap, Picture, Preprocess, ResizeMode, Scratch};
use sepal_graph::{Coordinates, Graph, Interpolate, Interpolation, Model, Node, ResizeTo, Rounding, Shape, Task};
use sepal_kernels::Level;
use sepal_kernels::pool::Pool;
use sepal_runtime::{CompileOptions, Session, compile, session};

use crate::error::{Error, Result};
use crate::preprocess;

pub(crate) use measure::measure;

/// Networks compiled for different sizes that are kept.
const KEPT: usize = 4;
/// The least and the largest side of a tile.
const TILES: std::ops::RangeInclusive<usize> = 64..=16_384;

/// How a map of scores that is smaller than the picture grows to its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Upsample {
    /// Between the four nearest scores.
    #[default]
    Bilinear,
    /// The nearest score.
    Nearest,
}

/// How a [`Segmenter`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Height and width of the largest part of a picture that is run at once, 64 to 16384; larger pictures are cut into
    /// tiles.
    pub tile: usize,
    /// Pixels that neighbouring tiles share, less than half of `tile`; each gives the half that is its own.
    pub overlap: usize,
    /// How scores grow.
    pub upsample: Upsample,
    /// The instruction set.
    pub level: Level,
}

impl Default for SegmentOptions {
    /// Tiles of 2048 pixels that share 256.
    fn default() -> Self {
        Self { tile: 2048, overlap: 256, upsample: Upsample::default(), level: Level::best() }
    }
}

/// A segmenter with the pictures' way in, for pictures of any size.
///
/// A model whose pictures keep their scale ([`sepal_graph::Resize::Exact`]) runs on the picture as it is: with zeros added to the
/// right and below where the network halves sizes that cannot be halved, and cut back; in tiles where it is large. A model whose
/// pictures are squashed runs on the squashed picture, and the scores grow to the size of the picture.
pub struct Segmenter {
    model: Model,
    preprocess: Preprocess,
    options: SegmentOptions,
    pool: Arc<dyn Pool>,
    /// Sizes are brought to multiples of this.
    multiple: usize,
    classes: usize,
    /// The latest at the end.
    compiled: Vec<Compiled>,
    scratch: Scratch,
    input: Vec<f32>,
    logits: Vec<f32>,
}

/// A network for one size of input and output.
struct Compiled {
    input: [usize; 2],
    output: [usize; 2],
    session: Session,
}

/// The scores of a part of a picture.
pub(crate) struct Tile<'a> {
    /// Of every class a map of `size`, height and width.
    pub(crate) logits: &'a [f32],
    pub(crate) size: [usize; 2],
    /// The rows and columns of it that count ...
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// ... and where in the picture they begin: row and column.
    pub(crate) at: [usize; 2],
}

impl Tile<'_> {
    /// Calls `each` with every pixel's row and column in the picture, and the place of its scores: of class c, `logits[place
    /// + c · height · width]`.
    pub(crate) fn pixels(&self, mut each: impl FnMut(usize, usize, usize)) {
        for y in self.rows.clone() {
            for x in self.columns.clone() {
                each(self.at[0] + y - self.rows.start, self.at[1] + x - self.columns.start, y * self.size[1] + x);
            }
        }
    }
}

impl Segmenter {
    /// Prepares `model`; networks are compiled when the first picture of a size comes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a model that is no segmenter, has more than 255 classes, or does not say how pictures become its
    /// input, or crops them; [`Error::Recipe`] for a tile out of its range.
    pub fn new(model: &Model, pool: Arc<dyn Pool>, options: SegmentOptions) -> Result<Self> {
        let output = model.graph.output_shape()?;
        let (Task::Segment, Some([classes, _, _])) = (model.meta.task, output.as_chw()) else {
            return Err(Error::Mismatch(format!("`{}` is no segmenter: its output is {output}", model.graph.name)));
        };
        if classes > usize::from(sepal_data::IGNORE) {
            return Err(Error::Mismatch(format!(
                "{classes} classes are more than the 255 that a label map tells apart"
            )));
        }
        let preprocess = preprocess::of_meta(&model.meta)?;
        if let ResizeMode::ShortSideCrop { .. } = preprocess.resize {
            let text = "the model's pictures are cropped, which leaves pixels without a class: segmenters take pictures that are \
                        squashed, or keep their scale";
            return Err(Error::Mismatch(text.into()));
        }
        if !TILES.contains(&options.tile) {
            return Err(Error::recipe("tile", options.tile, "64 to 16384 pixels"));
        }
        if options.overlap * 2 >= options.tile {
            return Err(Error::recipe("overlap", options.overlap, "less than half of a tile"));
        }
        let multiple = multiple(&model.graph)?;
        Ok(Self {
            model: model.clone(),
            preprocess,
            options,
            pool,
            multiple,
            classes,
            compiled: Vec::new(),
            scratch: Scratch::new(),
            input: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of every pixel of `picture`: the one with the greatest score, of equal ones the first.
    ///
    /// # Errors
    /// [`Error::Data`] for a picture whose sizes do not agree with its pixels, [`Error::Graph`] for a size that the network cannot
    /// take.
    pub fn segment(&mut self, picture: &Picture) -> Result<LabelMap> {
        let width = picture.width as usize;
        let mut labels = vec![0u8; width * picture.height as usize];
        let classes = self.classes;
        self.run(picture, &mut |tile| {
            let plane = tile.size[0] * tile.size[1];
            tile.pixels(|y, x, place| {
                let scores = tile.logits[place..].iter().step_by(plane).take(classes);
                labels[y * width + x] = greatest(scores) as u8;
            });
        })?;
        Ok(LabelMap { width: picture.width, height: picture.height, labels })
    }

    /// Calls `each` with the scores of every part of `picture`; together the parts that count are the picture.
    pub(crate) fn run(&mut self, picture: &Picture, each: &mut dyn FnMut(Tile<'_>)) -> Result<()> {
        if !picture.is_whole() {
            let cause = format!("{}×{} pixels in {} bytes", picture.width, picture.height, picture.pixels.len());
            return Err(sepal_data::DataError::Picture { path: "picture".into(), cause }.into());
        }
        let [height, width] = [picture.height, picture.width].map(|side| side as usize);
        if self.preprocess.resize == ResizeMode::Squash {
            self.input.resize(self.preprocess.output_len(), 0.0);
            self.preprocess.apply(picture, &mut self.scratch, &mut self.input)?;
            self.compute(self.preprocess.size, [height, width])?;
            let (rows, columns) = (0..height, 0..width);
            each(Tile { logits: &self.logits, size: [height, width], rows, columns, at: [0, 0] });
            return Ok(());
        }
        let (tile, overlap) = (self.options.tile, self.options.overlap);
        let (down, across) = (cuts(height, tile, overlap, self.multiple), cuts(width, tile, overlap, self.multiple));
        for y in &down {
            for x in &across {
                let size = [&y.whole, &x.whole].map(|side| side.len().next_multiple_of(self.multiple));
                self.crop(picture, y.whole.start, x.whole.start, size);
                self.compute(size, size)?;
                let inside = |cut: &Cut| cut.own.start - cut.whole.start..cut.own.end - cut.whole.start;
                let (rows, columns) = (inside(y), inside(x));
                each(Tile { logits: &self.logits, size, rows, columns, at: [y.own.start, x.own.start] });
            }
        }
        Ok(())
    }

    /// The part of `picture` of this size from this place, prepared; zeros beyond.
    fn crop(&mut self, picture: &Picture, top: usize, left: usize, [height, width]: [usize; 2]) {
        let Preprocess { mean, std, bgr, .. } = self.preprocess;
        let plane = height * width;
        self.input.clear();
        self.input.resize(3 * plane, 0.0);
        let across = width.min(picture.width as usize - left);
        let lines = picture.pixels.chunks_exact(3 * picture.width as usize).skip(top).take(height);
        for (y, line) in lines.enumerate() {
            for (x, pixel) in line[3 * left..3 * (left + across)].chunks_exact(3).enumerate() {
                for channel in 0..3 {
                    // As the loader computes it.
                    let (scale, shift) = (1.0 / (255.0 * std[channel]), -mean[channel] / std[channel]);
                    self.input[channel * plane + y * width + x] =
                        f32::from(pixel[if bgr { 2 - channel } else { channel }]) * scale + shift;
                }
            }
        }
    }

    /// Runs the network on `self.input`.
    fn compute(&mut self, input: [usize; 2], output: [usize; 2]) -> Result<()> {
        let found = self.compiled.iter().position(|kept| (kept.input, kept.output) == (input, output));
        let kept = match found {
            Some(at) => self.compiled.remove(at),
            None => self.compile(input, output)?,
        };
        if self.compiled.len() == KEPT {
            self.compiled.remove(0);
        }
        self.compiled.push(kept);
        self.logits.resize(self.classes * output[0] * output[1], 0.0);
        if let Some(kept) = self.compiled.last_mut() {
            kept.session.run(&self.input, &mut self.logits)?;
        }
        Ok(())
    }

    fn compile(&self, input: [usize; 2], output: [usize; 2]) -> Result<Compiled> {
        let channels = self.model.graph.input_shape()?.channels();
        let mut graph = self.model.graph.with_input_shape(Shape::chw(channels, input[0], input[1])?)?;
        grow(&mut graph, output, self.options.upsample)?;
        let model = Model { graph, weights: self.model.weights.clone(), meta: sepal_graph::Meta::default() };
        let plan = compile(&model, &CompileOptions { batch: 1, level: self.options.level })?;
        Ok(Compiled { input, output, session: session(Arc::new(plan), Arc::clone(&self.pool)) })
    }
}

/// Adds what brings the output to this height and width, where it has another.
fn grow(graph: &mut Graph, size: [usize; 2], upsample: Upsample) -> Result<()> {
    let output = graph.output_shape()?;
    let [_, height, width] = output.as_chw().unwrap_or_default();
    let Some(&last) = graph.outputs.first().filter(|_| [height, width] != size) else { return Ok(()) };
    let (mode, coordinates) = match upsample {
        Upsample::Bilinear => (Interpolation::Bilinear, Coordinates::HalfPixel),
        Upsample::Nearest => (Interpolation::Nearest(Rounding::Floor), Coordinates::Asymmetric),
    };
    let op = Interpolate { to: ResizeTo::Size(size), mode, coordinates }.into();
    let id = graph.push(Node { path: "scores_at_picture_size".into(), op, inputs: vec![last] });
    graph.outputs = vec![id];
    Ok(())
}

/// The least number that sides have to be multiples of, so that every halving is exact: the ratio of the input to the smallest
/// map, those of one pixel left aside, which are means.
pub(crate) fn multiple(graph: &Graph) -> Result<usize> {
    let input = graph.input_shape()?;
    let Some([_, height, width]) = input.as_chw() else { return Ok(1) };
    let mut most = 1;
    for shape in graph.shapes()? {
        if let Some([_, h, w]) = shape.as_chw().filter(|&[_, h, w]| h.min(w) > 1) {
            most = most.max(height.div_ceil(h)).max(width.div_ceil(w));
        }
    }
    Ok(most.next_power_of_two())
}

/// Part of a side: what is run, and what of it counts.
struct Cut {
    whole: Range<usize>,
    own: Range<usize>,
}

/// Cuts a side into tiles that overlap and begin at multiples of `multiple`, as the network's strides see the whole.
fn cuts(side: usize, tile: usize, overlap: usize, multiple: usize) -> Vec<Cut> {
    if side <= tile {
        return vec![Cut { whole: 0..side, own: 0..side }];
    }
    let tile = (tile / multiple * multiple).max(multiple);
    let step = (tile.saturating_sub(overlap) / multiple * multiple).max(multiple);
    let count = side.saturating_sub(tile).div_ceil(step) + 1;
    // Neighbours meet in the middle of what they share.
    let meets = |at: usize| match at {
        0 => 0,
        at if at == count => side,
        at => ((at - 1) * step + tile + at * step) / 2,
    };
    (0..count).map(|at| Cut { whole: at * step..(at * step + tile).min(side), own: meets(at)..meets(at + 1) }).collect()
}

/// The place of the greatest score, of equal ones the first.
pub(crate) fn greatest<'a>(scores: impl Iterator<Item = &'a f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (class, &score) in scores.enumerate() {
        if score > best.1 {
            best = (class, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests;
