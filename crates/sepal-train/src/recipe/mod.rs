//! The recipe: every hyper-parameter of a run, as TOML.

mod check;
mod choices;
mod defaults;
mod diff;
mod layer;
mod named;

use std::path::{Path, PathBuf};

use sepal_data::{Augment, Sampling};
use sepal_graph::Protocol;
use serde::{Deserialize, Serialize};

pub use choices::{
    ClassWeights, EarlyStopping, Optimizer, Ortho, ParamGroup, Preprocessing, Resize, Schedule, StopMetric,
};
pub use diff::FieldDiff;
pub use layer::Layer;
pub use named::{NamedRecipe, find_recipe, named_recipes};

use crate::error::Result;

/// Every hyper-parameter of a training run.
///
/// A TOML file names the fields that differ from the defaults, or from its `base` ([`Layer`]); an unknown field is an error. The
/// defaults are those of [`Recipe::default`], tuned for small pictures; [`Recipe::for_data`] chooses
/// by what the data look like.
///
/// ```
/// use sepal_train::{Optimizer, Recipe};
/// # fn main() -> sepal_train::Result<()> {
/// let recipe = Recipe::from_toml("epochs = 3\n[optimizer]\nkind = \"adamw\"\n", "mine.toml")?;
/// assert_eq!(recipe.epochs, 3);
/// assert!(matches!(recipe.optimizer, Optimizer::Adamw { .. }));
/// assert_eq!(recipe.lr(), 2e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// The network: a name with options, such as `mobilenet_v1:width=0.5`.
    pub model: String,
    /// The recipe whose weights this one starts from, by name: trained before it unless weights are given. Absent means that it
    /// starts anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The folder of the data; absent means the embedded sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Share of the training pictures held out for validation, in [0, 1), where the data bring no
    /// validation set. Absent means 0.2 for a flat folder of classes and none elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_split: Option<f32>,
    /// Height and width of the network's input in pixels.
    pub size: usize,
    /// Passes over the training pictures, at least 1.
    pub epochs: usize,
    /// Pictures per step, at least 1.
    pub batch: usize,
    /// Batches per update of the weights, at least 1. The gradient is the mean over their pictures; the last update of an
    /// epoch may have fewer. Norms see each batch alone.
    pub accumulate: usize,
    /// Seed of initial weights, order, augmentation and dropout.
    pub seed: u64,
    /// Peak learning rate, above 0. Absent means the optimizer's own default, see [`Recipe::lr`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Epochs, also a fraction of one, over which the learning rate rises linearly to its peak.
    pub warmup_epochs: f64,
    /// Weight decay, at least 0. Absent means the optimizer's own default, see
    /// [`Recipe::weight_decay`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether weight decay applies to scales and shifts of norms and to slopes. Off by default.
    pub decay_norms: bool,
    /// Whether it applies to biases. Off by default.
    pub decay_biases: bool,
    /// Whether it applies to depthwise kernels. Off by default: they have few weights, and little
    /// or no decay on them is what MobileNet §3.2 found important (Howard et al. 2017,
    /// arXiv:1704.04861).
    pub decay_depthwise: bool,
    /// Share of the target spread evenly over all classes, in [0, 1) (Szegedy et al.,
    /// arXiv:1512.00567, §7).
    pub label_smoothing: f32,
    /// Decay per step of the exponential moving average of weights and running statistics, in
    /// [0, 1); 0 turns it off. After t steps min(decay, (1 + t) / (10 + t)) is used, so that the
    /// average does not remember the start. Validation and saved models use the average.
    pub ema_decay: f64,
    /// Largest global norm of the gradient, above 0; a longer one is scaled down. Absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad: Option<f64>,
    /// What a domain's network shares with the one whose weights it starts from; that is not trained. Absent means nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Globs on parameter paths, such as `*.pointwise.weight`, that are not trained. `*` also matches
    /// dots. A norm whose `running_mean` or `running_var` one matches keeps its running statistics and uses them in
    /// training, too; others' follow the data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Whether a picture that cannot be read ends the run; else it is reported, skipped and counted.
    pub strict: bool,
    /// Threads that decode and augment ahead of training; 0 means the trainer chooses. Has no
    /// influence on the result.
    pub workers: usize,
    /// Weights of the classes in the loss. Absent means that all count alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Draws first factors of pointwise convolutions to orthonormal rows. Absent means not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ortho: Option<Ortho>,
    /// Ends the run early. Absent means not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// How the weights are updated.
    pub optimizer: Optimizer,
    /// How the learning rate falls after the warm-up.
    pub schedule: Schedule,
    /// Which pictures an epoch visits.
    pub sampling: Sampling,
    /// Random changes to training pictures.
    pub augment: Augment,
    /// How a picture becomes the network's input, in training and ever after.
    pub preprocessing: Preprocessing,
    /// Parameters with another learning rate or weight decay than the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParamGroup>,
}

impl Recipe {
    /// Parses TOML; `file` stands for it in errors.
    ///
    /// # Errors
    /// Those of [`Layer::from_toml`].
    pub fn from_toml(text: &str, file: &str) -> Result<Self> {
        Ok(Layer::from_toml(text, file)?.recipe().clone())
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, and those of [`Layer::from_toml`].
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Layer::read(path)?.recipe().clone())
    }

    /// The recipe as TOML with every field that is set; [`Recipe::from_toml`] gives it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is a number, a string or a table of such.
        toml::to_string(self).unwrap_or_default()
    }

    /// The recipe with the values filled in that it leaves to the optimizer.
    #[must_use]
    pub fn resolved(&self) -> Self {
        Self { lr: Some(self.lr()), weight_decay: Some(self.weight_decay()), ..self.clone() }
    }

    /// Peak learning rate: the recipe's, else 0.05 for SGD, 0.001 for Adam, 0.002 for AdamW and RMSprop.
    #[must_use]
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(self.optimizer.default_lr())
    }

    /// Weight decay: the recipe's, else 5e-4 for SGD, 0.05 for AdamW, 1e-5 for Adam and RMSprop.
    #[must_use]
    pub fn weight_decay(&self) -> f64 {
        self.weight_decay.unwrap_or(self.optimizer.default_weight_decay())
    }

    /// Every field in which `now` would train other weights than `self`. Fields that have no
    /// influence on the weights (`workers`, `strict`) are not compared.
    #[must_use]
    pub fn differences(&self, now: &Self) -> Vec<FieldDiff> {
        diff::differences(&self.resolved(), &now.resolved())
    }
}
