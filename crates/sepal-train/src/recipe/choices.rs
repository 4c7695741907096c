//! The choices of a recipe that bring parameters of their own.

use sepal_graph::Filter;
use serde::{Deserialize, Serialize};

/// The orthonormal regulariser α·Σ ‖WWᵀ − I‖_F over the pointwise weights W that are the first factor of a subspace
/// blueprint separable convolution. Haase & Amthor 2020, arXiv:2003.13549, §3.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ortho {
    /// The factor α of the norms' sum, above 0; 0.1 by default, as in the paper.
    pub alpha: f64,
    /// Globs on parameter paths, each of which matches weights of pointwise convolutions or linear layers. Absent means
    /// [`Ortho::PATHS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

impl Default for Ortho {
    fn default() -> Self {
        Self { alpha: 0.1, paths: None }
    }
}

impl Ortho {
    /// The first pointwise convolutions of BSConv-S, and the projections of inverted residual blocks: with the
    /// expansion of the next block these are the two factors (§4.2 of the paper, and its authors' code).
    pub const PATHS: [&str; 2] = ["*pointwise1.weight", "*project.weight"];

    /// The globs that count.
    pub(crate) fn globs(&self) -> Vec<String> {
        self.paths.clone().unwrap_or_else(|| Self::PATHS.map(String::from).to_vec())
    }
}

/// How weights are updated; the formulas, and the meaning of weight decay, are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent. Weight decay is added to the gradient.
    Sgd {
        /// Share of the last step that is kept, in [0, 1).
        #[serde(default = "momentum")]
        momentum: f64,
        /// Whether the gradient is taken as if after the momentum's step; needs momentum.
        #[serde(default = "yes")]
        nesterov: bool,
    },
    /// Adam (Kingma & Ba 2015, arXiv:1412.6980). Weight decay is added to the gradient.
    Adam {
        /// Decay of the averages of gradient and squared gradient, each in [0, 1).
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root of the squared average, above 0.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101).
    Adamw {
        /// Decay of the averages of gradient and squared gradient, each in [0, 1).
        #[serde(default = "betas")]
        betas: [f64; 2],
        /// Added to the root of the squared average, above 0.
        #[serde(default = "eps")]
        eps: f64,
    },
    /// RMSprop (Tieleman & Hinton 2012). Weight decay is added to the gradient.
    Rmsprop {
        /// Decay of the average of the squared gradient, in [0, 1).
        #[serde(default = "alpha")]
        alpha: f64,
        /// Added to the root of the squared average, above 0.
        #[serde(default = "eps")]
        eps: f64,
        /// Share of the last step that is kept, in [0, 1).
        #[serde(default = "momentum")]
        momentum: f64,
    },
}

impl Optimizer {
    /// The optimizers' names, as a recipe's `optimizer.kind`.
    pub const NAMES: [&str; 4] = ["sgd", "adam", "adamw", "rmsprop"];

    /// The optimizer of this name with its default parameters; `None` for an unknown name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sgd" => Self::Sgd { momentum: momentum(), nesterov: true },
            "adam" => Self::Adam { betas: betas(), eps: eps() },
            "adamw" => Self::Adamw { betas: betas(), eps: eps() },
            "rmsprop" => Self::Rmsprop { alpha: alpha(), eps: eps(), momentum: momentum() },
            _ => return None,
        })
    }

    pub(super) fn default_lr(&self) -> f64 {
        match self {
            Self::Sgd { .. } => 0.05,
            Self::Adam { .. } => 1e-3,
            Self::Adamw { .. } | Self::Rmsprop { .. } => 2e-3,
        }
    }

    pub(super) fn default_weight_decay(&self) -> f64 {
        match self {
            Self::Sgd { .. } => 5e-4,
            Self::Adamw { .. } => 0.05,
            Self::Adam { .. } | Self::Rmsprop { .. } => 1e-5,
        }
    }
}

/// What classes weigh in the loss: 1/ln(`c` + share), the share being that of the training pixels that have a class, or of the
/// training pictures where they have no masks (Paszke et al. 2016, arXiv:1606.02147, §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassWeights {
    /// Above 1: the nearer, the more rare classes weigh. 1.10 by default, as ESPNet was trained.
    pub c: f64,
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self { c: 1.10 }
    }
}

/// Parameters that are updated in another way than the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamGroup {
    /// Globs on parameter paths, such as `stem.*`; `*` also matches dots. A parameter belongs to the first group with a
    /// glob that matches it.
    pub paths: Vec<String>,
    /// Factor of the learning rate, above 0.
    #[serde(default = "one")]
    pub lr_factor: f64,
    /// Weight decay of all of them, at least 0. Absent means the recipe's, where it applies by role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// Ends a run whose validation figures no longer improve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs in a row without an improvement after which the run ends, at least 1.
    pub patience: usize,
    /// The figure that has to improve.
    #[serde(default)]
    pub metric: StopMetric,
    /// Less than this is no improvement; at least 0.
    #[serde(default)]
    pub min_delta: f64,
}

/// A figure of the validation set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopMetric {
    /// Accuracy, which rises; of segmenters the mean intersection over union.
    #[default]
    Top1,
    /// Accuracy among the five greatest, which rises.
    Top5,
    /// Loss, which falls.
    Loss,
}

/// How the learning rate falls after the warm-up, over fractional epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Half a cosine from the peak to `min` (Loshchilov & Hutter 2017, arXiv:1608.03983).
    Cosine {
        /// Share of the peak at the end, in [0, 1].
        #[serde(default)]
        min: f64,
    },
    /// Multiplied by `gamma` at each milestone.
    Step {
        /// Epochs, rising.
        milestones: Vec<f64>,
        /// Factor, in (0, 1].
        #[serde(default = "gamma")]
        gamma: f64,
    },
    /// Multiplied by `gamma` after every `every` epochs, counted from the start of the run.
    Exponential {
        /// Factor, in (0, 1].
        #[serde(default = "exponential_gamma")]
        gamma: f64,
        /// Epochs, above 0.
        #[serde(default = "one")]
        every: f64,
    },
    /// From the peak to `min` as a power of the share of steps left, as PyTorch's `PolynomialLR`.
    Polynomial {
        /// The power, above 0; 1 is a straight line.
        #[serde(default = "one")]
        power: f64,
        /// Share of the peak at the end, in [0, 1].
        #[serde(default)]
        min: f64,
    },
    /// Up from peak / `div` in `rise` of all steps and down to peak / (`div`·`final_div`), each half a cosine, as PyTorch's
    /// `OneCycleLR` (Smith & Topin 2018, arXiv:1708.07120). The recipe's warm-up does not apply.
    OneCycle {
        /// Share of the steps in which the rate rises, in (0, 1).
        #[serde(default = "rise")]
        rise: f64,
        /// The peak is so many times the first rate, at least 1.
        #[serde(default = "div")]
        div: f64,
        /// The first rate is so many times the last, at least 1.
        #[serde(default = "final_div")]
        final_div: f64,
    },
    /// The peak to the end.
    Constant {},
}

impl Schedule {
    /// The schedules' names, as a recipe's `schedule.kind`.
    pub const NAMES: [&str; 6] = ["cosine", "step", "exponential", "polynomial", "one_cycle", "constant"];

    /// The schedule of this name with its default parameters for a run of `epochs` (`step` divides by
    /// ten at 40, 60 and 80 % of it, as Guo et al., arXiv:1902.00927); `None` for an unknown name.
    #[must_use]
    pub fn named(name: &str, epochs: usize) -> Option<Self> {
        let at = |share: f64| share * epochs as f64;
        Some(match name {
            "cosine" => Self::Cosine { min: 0.0 },
            "step" => Self::Step { milestones: vec![at(0.4), at(0.6), at(0.8)], gamma: gamma() },
            "exponential" => Self::Exponential { gamma: exponential_gamma(), every: one() },
            "polynomial" => Self::Polynomial { power: one(), min: 0.0 },
            "one_cycle" => Self::OneCycle { rise: rise(), div: div(), final_div: final_div() },
            "constant" => Self::Constant {},
            _ => return None,
        })
    }
}

/// How a picture becomes the network's input: resized, then per channel, on a scale of 0 to 1, minus
/// mean, divided by standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocessing {
    /// How the picture gets the network's size.
    pub resize: Resize,
    /// With `resize = "short_side"`, the share of the resized picture that the crop keeps, above 0 to 1.
    pub crop_pct: f32,
    /// How pixels are interpolated.
    pub filter: Filter,
    /// Mean of red, green and blue; absent means that of the training pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, above 0; absent means that of the training pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<[f32; 3]>,
}

impl Default for Preprocessing {
    /// The middle of the short side, bilinear, mean and deviation of the data.
    fn default() -> Self {
        Self { resize: Resize::ShortSide, crop_pct: 1.0, filter: Filter::Bilinear, mean: None, std: None }
    }
}

/// How a picture gets the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Scaled with its aspect ratio, then the centre is cropped.
    ShortSide,
    /// Scaled without regard to its aspect ratio.
    Squash,
    /// Not scaled, for segmenters: training cuts parts of this size out, and everything else takes the whole picture.
    Keep,
}

fn momentum() -> f64 {
    0.9
}

fn yes() -> bool {
    true
}

fn betas() -> [f64; 2] {
    [0.9, 0.999]
}

fn eps() -> f64 {
    1e-8
}

fn alpha() -> f64 {
    0.99
}

fn gamma() -> f64 {
    0.1
}

fn exponential_gamma() -> f64 {
    0.94
}

fn one() -> f64 {
    1.0
}

fn rise() -> f64 {
    0.3
}

fn div() -> f64 {
    25.0
}

fn final_div() -> f64 {
    1e4
}
