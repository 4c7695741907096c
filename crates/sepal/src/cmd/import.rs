//! `sepal import`: a model from somebody else's file.

use std::path::PathBuf;

use clap::ValueEnum;
use sepal_graph::{ColorOrder, Filter, Preprocessing, Resize, Task};

use super::export::Destination;
use crate::args::Triple;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::target::ModelFile;

/// Read a model from ONNX, or weights from PyTorch, Keras or safetensors files, and write it as a model of Sepal
///
/// An ONNX file holds its network. Files of weights (.pth, .h5, .safetensors without a network, a folder of timm's) need
/// the network's name as --model; their tensors may have the names of timm, torchvision, Keras, the bsconv package or
/// ESPNet's authors. --classes other than the file's resets the classifier, for transfer learning.
///
/// How pictures are prepared is kept where the file says it, and else as the options say.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal import net.onnx -o net.safetensors
  sepal import mobilenetv2.pth --model mobilenet_v2 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 -o net.safetensors
  sepal import espnet_p_2_q_8.pth --model espnet:p=2,q=8,level1=16 --mean 0.2839,0.3251,0.2869 --std 45.32,46.15,44.91 --bgr -o street.safetensors
  sepal import xception.h5 --model xception --classes 10 -o start.safetensors")]
pub(crate) struct Args {
    #[command(flatten)]
    source: ModelFile,
    /// Names of the classes, a line each
    #[arg(long, value_name = "FILE")]
    class_map: Option<PathBuf>,
    /// Mean of red, green and blue, of values from 0 to 1; one number stands for three
    #[arg(long, value_name = "R,G,B", requires = "std")]
    mean: Option<Triple>,
    /// Standard deviation of red, green and blue
    #[arg(long, value_name = "R,G,B", requires = "mean")]
    std: Option<Triple>,
    /// How pixels are interpolated: nearest, bilinear, bicubic, lanczos3
    #[arg(long, value_name = "NAME", default_value = "bilinear", value_parser = filter)]
    interpolation: Filter,
    /// How pictures get the input's size: short_side (then the centre is cropped), squash, or keep, for segmenters, which take
    /// pictures of any size [default: short_side, of segmenters squash]
    #[arg(long, value_name = "HOW")]
    resize: Option<ResizeBy>,
    /// The network takes blue, green and red, in which order --mean and --std are, too
    #[arg(long, requires = "mean")]
    bgr: bool,
    /// Share of the resized picture that the centre crop keeps
    #[arg(long, value_name = "X", default_value_t = 0.875)]
    crop_pct: f32,
    #[command(flatten)]
    destination: Destination,
}

/// Ways to get the input's size.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
#[value(rename_all = "snake_case")]
enum ResizeBy {
    ShortSide,
    Squash,
    Keep,
}

fn filter(name: &str) -> Result<Filter, String> {
    serde_json::from_value(serde_json::Value::from(name))
        .map_err(|_| "is none of nearest, bilinear, bicubic, lanczos3".to_owned())
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    args.destination.check()?;
    let mut model = args.source.open()?;
    if let (Some(Triple(mean)), Some(Triple(std))) = (args.mean, args.std) {
        let size = model.graph.input_shape()?.size();
        let usual = if model.meta.task == Task::Segment { ResizeBy::Squash } else { ResizeBy::ShortSide };
        let resize = match args.resize.unwrap_or(usual) {
            ResizeBy::ShortSide => Resize::ShortSide { crop_pct: args.crop_pct },
            ResizeBy::Squash => Resize::Squash,
            ResizeBy::Keep => Resize::Exact,
        };
        let color_order = if args.bgr { ColorOrder::Bgr } else { ColorOrder::Rgb };
        let preprocessing = Preprocessing { size, mean, std, resize, filter: args.interpolation, color_order };
        model.meta.preprocessing = Some(preprocessing);
    }
    if let Some(path) = &args.class_map {
        model.meta.classes = sepal_data::class_map(path)?;
    }
    model.meta.check(&model.graph).map_err(|error| Failure::usage(error.to_string()))?;
    args.destination.write(&model, out)
}
