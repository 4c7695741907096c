//! A model: graph, weights, and what one must know to use them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_DIM;
use crate::{Error, Graph, Result, Weights};

/// A network that can be run, stored and shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its structure.
    pub graph: Graph,
    /// Its parameters.
    pub weights: Weights,
    /// Class names, preprocessing, provenance.
    pub meta: Meta,
}

impl Model {
    /// A model from its parts.
    ///
    /// # Errors
    /// The graph is not valid, the weights do not fit it or are not finite, or the metadata
    /// contradict it.
    pub fn new(graph: Graph, weights: Weights, meta: Meta) -> Result<Self> {
        let model = Self { graph, weights, meta };
        model.check()?;
        Ok(model)
    }

    /// Checks graph, weights and metadata against one another.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn check(&self) -> Result<()> {
        self.graph.validate()?;
        self.weights.check(&self.graph)?;
        self.weights.check_finite()?;
        self.weights.check_variances(&self.graph)?;
        self.meta.check(&self.graph)
    }
}

/// What a network's output means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One logit per class, `[classes]`.
    #[default]
    Classify,
    /// One logit per class for every place of a map, `[classes, H, W]`; the map may be smaller than the input.
    Segment,
}

/// What one must know to use a network's weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Meta {
    /// What the output means.
    pub task: Task,
    /// Class names in the order of the logits; empty if unknown.
    pub classes: Vec<String>,
    /// Colours (red, green, blue) in which a segmenter's classes are shown; empty if none were given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub colors: Vec<[u8; 3]>,
    /// How a picture becomes an input; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocessing: Option<Preprocessing>,
    /// Where the weights come from: free text by key, such as `author`, `dataset`, `version`.
    pub provenance: BTreeMap<String, String>,
}

impl Meta {
    /// Checks the metadata, alone and against the graph.
    ///
    /// # Errors
    /// Another number of class names or colours than of logits, a segmenter whose output is no map, or impossible
    /// preprocessing.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let output = graph.output_shape()?;
        if self.task == Task::Segment && output.as_chw().is_none() {
            return Err(Error::Meta(format!("a segmenter's output is a map of classes, not {output}")));
        }
        let outputs = output.channels();
        if !self.classes.is_empty() && self.classes.len() != outputs {
            return Err(Error::Meta(format!("{} class names for {outputs} outputs", self.classes.len())));
        }
        if !self.colors.is_empty() && self.colors.len() != outputs {
            return Err(Error::Meta(format!("{} colours for {outputs} outputs", self.colors.len())));
        }
        self.preprocessing.as_ref().map_or(Ok(()), Preprocessing::check)
    }
}

/// How a picture becomes a network's input: decoded, oriented, resized with `filter` as `resize`
/// says to `size`, divided by 255, minus `mean`, divided by `std`, per channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Mean per channel, of values from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation per channel, of values from 0 to 1.
    pub std: [f32; 3],
    /// How the picture is brought to `size`.
    pub resize: Resize,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// Order of the channels that the network expects.
    pub color_order: ColorOrder,
}

impl Preprocessing {
    /// Checks every number.
    ///
    /// # Errors
    /// A size of zero or beyond [`crate::limits`], a mean that is not finite, a standard
    /// deviation or crop share that is not positive.
    pub fn check(&self) -> Result<()> {
        let fail = |text: String| Err(Error::Meta(format!("preprocessing: {text}")));
        let [h, w] = self.size;
        if h.min(w) == 0 || h.max(w) > MAX_DIM {
            return fail(format!("size {h}×{w} is outside 1..={MAX_DIM}"));
        }
        if !self.mean.iter().all(|v| v.is_finite()) {
            return fail(format!("mean {:?} is not finite", self.mean));
        }
        if !self.std.iter().all(|v| v.is_finite() && *v > 0.0) {
            return fail(format!("std {:?} is not positive", self.std));
        }
        match self.resize {
            Resize::ShortSide { crop_pct } if !(0.01..=1.0).contains(&crop_pct) => {
                fail(format!("crop_pct {crop_pct} is outside 0.01..=1"))
            }
            _ => Ok(()),
        }
    }
}

/// How a picture is brought to the input's size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Resize {
    /// Resized until the input's size is `crop_pct` of it at the tighter side, then the centre is
    /// cropped.
    ShortSide {
        /// Share of the resized picture that the crop keeps, above 0 to 1.
        crop_pct: f32,
    },
    /// Resized to the input's size without regard to the aspect ratio.
    Squash,
    /// Not resized: a classifier's picture must have the input's size, a segmenter's may have any.
    Exact,
}

/// How pixels are interpolated. All but `Nearest` are antialiased when a picture shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Nearest neighbour.
    Nearest,
    /// Triangle filter.
    #[default]
    Bilinear,
    /// Catmull–Rom cubic.
    Bicubic,
    /// Lanczos with three lobes.
    Lanczos3,
}

/// Order of the channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red; mean and deviation are in this order, too.
    Bgr,
}
