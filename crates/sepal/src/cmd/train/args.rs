//! The options of `sepal train`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::args::{self, Factor, Pair};
use crate::threads::Threads;

/// Train a classifier, or a segmenter on pictures with masks; without DATA on the embedded sample of Fashion-MNIST
///
/// DATA is a folder: DATA/{train,val,test}/CLASS/*.jpg, DATA/CLASS/*.jpg, the IDX files of MNIST and its kin, CIFAR's
/// binary files, or DATA/images and DATA/masks, Cityscapes or CamVid (see `sepal data scenes`). Values come from the defaults for the data, then the recipe file, then the environment (SEPAL_EPOCHS
/// and so on), then the options. The run folder holds the resolved recipe, metrics, curves, checkpoints and the state to
/// resume from. Ctrl-C finishes the batch, writes the checkpoint and says how to go on.
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  sepal train
  sepal train photos --epochs 30 --batch 32 --size 160
  sepal train photos --model mobilenet_v1:width=0.25 --opt adamw --lr 0.001 --out runs/small
  sepal train photos --policy trivial --mixup 0.2 --cutmix 1 --erasing 0.25
  sepal train cifar --recipe bsconv_u
  sepal train scenes --model espnet:p=2,q=3 --epochs 30
  sepal train photos --epochs 30 --find-lr=rates.svg
  sepal train photos --recipe mine.toml --seed 2 --progress plain
  sepal train photos --init runs/mobilenet_v1 --freeze 'block*' --epochs 5
  sepal train photos --init runs/mobilenet_v1 --lr-factor 'classifier*=1' --lr-factor '*=0.1' --patience 5
  sepal train photos --model resnet20:block=bsconv_s --ortho 0.1
  sepal train --resume runs/mobilenet_v1")]
pub(crate) struct Args {
    /// Folder of the data [default: the embedded sample]
    #[arg(env = "SEPAL_DATA", hide_env = true)]
    pub(super) data: Option<PathBuf>,
    /// The network: a name with options, see `sepal models`
    #[arg(long, value_name = "SPEC", env = "SEPAL_MODEL", hide_env = true)]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) training: Training,
    #[command(flatten)]
    pub(super) from: From,
    /// Try rising learning rates on the run's first batches, suggest one, draw the curve if asked, and end
    #[arg(long, value_name = "SVG", num_args = 0..=1, require_equals = true, conflicts_with_all = ["resume", "out"], help_heading = "Optimization")]
    pub(super) find_lr: Option<Option<PathBuf>>,
}

/// What any training can be told, whatever its network is and starts from.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Training {
    /// Recipe: a name, see `sepal recipes`, or a TOML file; a run's recipe.toml is one
    #[arg(long, value_name = "NAME|FILE", env = "SEPAL_RECIPE", hide_env = true)]
    pub(crate) recipe: Option<PathBuf>,
    /// Passes over the training pictures; the milestones of a --recipe move with them
    #[arg(long, value_name = "N", env = "SEPAL_EPOCHS", hide_env = true, value_parser = args::count, allow_negative_numbers = true)]
    pub(super) epochs: Option<usize>,
    /// Pictures a step
    #[arg(short, long, value_name = "N", env = "SEPAL_BATCH", hide_env = true, value_parser = args::count, visible_alias = "batch-size")]
    pub(super) batch: Option<usize>,
    /// Height and width of the input in pixels
    #[arg(long, value_name = "N", env = "SEPAL_SIZE", hide_env = true, value_parser = args::count, visible_alias = "img-size", alias = "imgsz")]
    pub(crate) size: Option<usize>,
    /// Seed of weights, order, augmentation and dropout
    #[arg(long, value_name = "N", env = "SEPAL_SEED", hide_env = true)]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) fit: Fit,
    #[command(flatten)]
    pub(super) augment: Augment,
    #[command(flatten)]
    pub(super) files: Files,
    #[command(flatten)]
    pub(super) machine: Machine,
}

/// How weights are updated.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Optimization")]
pub(super) struct Fit {
    /// Optimizer: sgd, adam, adamw, rmsprop
    #[arg(long, value_name = "NAME", env = "SEPAL_OPT", hide_env = true)]
    pub(super) opt: Option<String>,
    /// Peak learning rate
    #[arg(long, value_name = "LR", env = "SEPAL_LR", hide_env = true, allow_negative_numbers = true)]
    pub(super) lr: Option<f64>,
    /// Schedule after the warm-up: cosine, step, exponential, polynomial, one_cycle, constant
    #[arg(long, value_name = "NAME", env = "SEPAL_SCHED", hide_env = true)]
    pub(super) sched: Option<String>,
    /// Epochs, also a part of one, over which the learning rate rises
    #[arg(long, value_name = "N", env = "SEPAL_WARMUP_EPOCHS", hide_env = true, allow_negative_numbers = true)]
    pub(super) warmup_epochs: Option<f64>,
    /// Weight decay
    #[arg(long, value_name = "X", env = "SEPAL_WEIGHT_DECAY", hide_env = true, allow_negative_numbers = true)]
    pub(super) weight_decay: Option<f64>,
    /// Momentum of sgd and rmsprop
    #[arg(long, value_name = "X", env = "SEPAL_MOMENTUM", hide_env = true, allow_negative_numbers = true)]
    pub(super) momentum: Option<f64>,
    /// Largest norm of the gradient
    #[arg(long, value_name = "X", env = "SEPAL_CLIP_GRAD", hide_env = true, allow_negative_numbers = true)]
    pub(super) clip_grad: Option<f64>,
    /// Batches per update of the weights
    #[arg(long, value_name = "N", env = "SEPAL_ACCUMULATE", hide_env = true, value_parser = args::count, visible_alias = "grad-accum-steps")]
    pub(super) accumulate: Option<usize>,
    /// What classes weigh in the loss: log (1/ln(1.1 + share), as of pictures with masks by default), none
    #[arg(long, value_enum, value_name = "HOW", env = "SEPAL_CLASS_WEIGHTS", hide_env = true)]
    pub(super) class_weights: Option<Weights>,
    /// End after so many epochs without better accuracy on the validation set; 0 turns it off
    #[arg(long, value_name = "EPOCHS", env = "SEPAL_PATIENCE", hide_env = true)]
    pub(super) patience: Option<usize>,
    /// Factor of the learning rate of parameters by pattern, as in 'stem*=0.1'; may be repeated, the first match counts
    #[arg(long, value_name = "GLOB=X")]
    pub(super) lr_factor: Vec<Factor>,
    /// Factor of BSConv-S's orthonormal regulariser; the paper's is 0.1, 0 turns it off
    #[arg(long, value_name = "X", env = "SEPAL_ORTHO", hide_env = true, allow_negative_numbers = true)]
    pub(super) ortho: Option<f64>,
    /// Label smoothing
    #[arg(long, value_name = "X", env = "SEPAL_SMOOTHING", hide_env = true, allow_negative_numbers = true)]
    pub(super) smoothing: Option<f32>,
    /// Decay of the moving average of the weights; 0 turns it off
    #[arg(long, value_name = "X", env = "SEPAL_EMA", hide_env = true, allow_negative_numbers = true)]
    pub(super) ema: Option<f64>,
    /// Parameters that are not trained, by pattern on their paths; may be repeated. A norm whose statistics match keeps them
    #[arg(long, value_name = "GLOB")]
    pub(super) freeze: Vec<String>,
}

/// What is varied in training pictures.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Augmentation")]
pub(super) struct Augment {
    /// Probability of mirroring
    #[arg(long, value_name = "P", env = "SEPAL_HFLIP", hide_env = true, allow_negative_numbers = true)]
    pub(super) hflip: Option<f32>,
    /// Pixels of padding before a random crop
    #[arg(long, value_name = "N", env = "SEPAL_CROP_PADDING", hide_env = true)]
    pub(super) crop_padding: Option<usize>,
    /// Random-resized crop: least and most share of the area; of pictures with masks how much they grow
    #[arg(long, value_name = "A,B", env = "SEPAL_SCALE", hide_env = true)]
    pub(super) scale: Option<Pair>,
    /// Random-resized crop: least and most width ÷ height
    #[arg(long, value_name = "A,B", env = "SEPAL_RATIO", hide_env = true)]
    pub(super) ratio: Option<Pair>,
    /// Operations drawn at random: trivial (TrivialAugment), rand (RandAugment), none
    #[arg(long, value_name = "NAME", env = "SEPAL_POLICY", hide_env = true)]
    pub(super) policy: Option<String>,
    /// Random brightness, contrast and saturation: factors in 1 ± X; 0 turns it off
    #[arg(long, value_name = "X", env = "SEPAL_COLOR_JITTER", hide_env = true, allow_negative_numbers = true)]
    pub(super) color_jitter: Option<f32>,
    /// Probability that a random rectangle is erased; 0 turns it off
    #[arg(
        long,
        value_name = "P",
        env = "SEPAL_ERASING",
        hide_env = true,
        allow_negative_numbers = true,
        visible_alias = "reprob"
    )]
    pub(super) erasing: Option<f32>,
    /// Mixup's α; 0 turns it off
    #[arg(long, value_name = "X", env = "SEPAL_MIXUP", hide_env = true, allow_negative_numbers = true)]
    pub(super) mixup: Option<f32>,
    /// CutMix's α; 0 turns it off
    #[arg(long, value_name = "X", env = "SEPAL_CUTMIX", hide_env = true, allow_negative_numbers = true)]
    pub(super) cutmix: Option<f32>,
    /// Visit every class equally often, whatever its number of pictures
    #[arg(long)]
    pub(super) balanced: bool,
    /// Times that a picture comes in a row, each augmented anew
    #[arg(long, value_name = "N", env = "SEPAL_REPEATS", hide_env = true, value_parser = args::count)]
    pub(super) repeats: Option<usize>,
    /// No augmentation
    #[arg(long, conflicts_with_all = ["hflip", "crop_padding", "scale", "ratio", "policy", "color_jitter", "erasing", "mixup", "cutmix"])]
    pub(super) no_aug: bool,
}

/// What is read of the data, and where the run goes.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Data and run")]
pub(super) struct Files {
    /// Share of each class held out for validation, where the data bring no validation set
    #[arg(long, value_name = "X", env = "SEPAL_VAL_SPLIT", hide_env = true, allow_negative_numbers = true)]
    pub(super) val_split: Option<f32>,
    /// Class names, one a line in the order of their indices
    #[arg(long, value_name = "FILE", env = "SEPAL_CLASS_MAP", hide_env = true)]
    pub(super) class_map: Option<PathBuf>,
    /// Stop at the first picture that cannot be read instead of skipping it
    #[arg(long)]
    pub(super) strict: bool,
    /// Run folder [default: runs/NAME, or runs/NAME-2 if that is taken]
    #[arg(short, long, value_name = "DIR", env = "SEPAL_OUT", hide_env = true)]
    pub(super) out: Option<PathBuf>,
}

/// What it starts from.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Data and run")]
pub(super) struct From {
    /// Go on with an interrupted run [default: the latest under runs]
    #[arg(long, value_name = "RUN", num_args = 0..=1, conflicts_with_all = ["init", "out"])]
    pub(super) resume: Option<Option<PathBuf>>,
    /// Start from the weights of a model file or run; a classifier for other classes starts anew
    #[arg(long, value_name = "FILE", env = "SEPAL_INIT", hide_env = true)]
    pub(super) init: Option<PathBuf>,
}

/// The machine and the display; none of it changes the result.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Machine and display")]
pub(super) struct Machine {
    #[command(flatten)]
    pub(super) threads: Threads,
    /// Threads that read and augment pictures [default: chosen by the trainer]
    #[arg(short = 'j', long, value_name = "N", env = "SEPAL_WORKERS", hide_env = true)]
    pub(super) workers: Option<usize>,
    /// Steps between checkpoints within an epoch; one is written after each epoch anyway
    #[arg(long, value_name = "STEPS", env = "SEPAL_CHECKPOINT_EVERY", hide_env = true, value_parser = args::count)]
    pub(super) checkpoint_every: Option<usize>,
    /// Write the figures of every epoch to an event file for TensorBoard, too, in the run folder
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// How progress is shown, on standard error
    #[arg(long, value_enum, value_name = "HOW", env = "SEPAL_PROGRESS", hide_env = true, default_value_t = Show::Auto)]
    pub(super) progress: Show,
}

/// What classes weigh.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// All the same
    None,
    /// The more the rarer they are
    Log,
}

/// Ways to show progress.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// A bar on a terminal, else plain
    Auto,
    /// A bar with throughput and time left
    Bar,
    /// A line an epoch
    Plain,
    /// A JSON object an epoch
    Json,
    /// Nothing
    None,
}
