//! `sepal export`: a model in somebody else's form.

use std::path::{Path, PathBuf};

use sepal_formats::names::{self, Naming};
use sepal_formats::{native, onnx};
use sepal_graph::Model;
use sepal_report::grouped;
use serde::Serialize;

use crate::args;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::target::Target;

/// Write a model as ONNX, or as safetensors, for other tools
///
/// The extension of the output names the form. ONNX files have opset 17, a dynamic batch, the paths of this network for
/// names, class names and preprocessing in the metadata, and nothing outside the standard operators. A SPEC is written
/// with random weights.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal export runs/mobilenet_v1 -o net.onnx
  sepal export mobilenet_v2:width=1.4 --size 192 -o random.onnx --batch 1
  sepal export net.onnx -o net.safetensors
  sepal export runs/mobilenet_v2 --names timm -o for-pytorch.safetensors")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Seed of the random weights of a SPEC
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    destination: Destination,
}

/// Where a model is written, and in which form.
#[derive(clap::Args, Debug)]
pub(crate) struct Destination {
    /// File to write: .onnx or .safetensors
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Names of the tensors in a .safetensors file: sepal, or timm, torchvision or bsconv for PyTorch, without the network
    #[arg(long, value_name = "WHOSE", default_value = "sepal", value_parser = naming)]
    names: Naming,
    /// Version of ONNX' operators, 15 to 17
    #[arg(long, value_name = "N", default_value_t = 17)]
    opset: i64,
    /// Pictures of a run of the ONNX file: a number, or dynamic
    #[arg(short, long, value_name = "N", default_value = "dynamic", value_parser = batch)]
    batch: Batch,
}

#[derive(Clone, Copy, Debug)]
struct Batch(Option<usize>);

fn batch(text: &str) -> Result<Batch, String> {
    match text {
        "dynamic" => Ok(Batch(None)),
        _ => args::count(text).map(|n| Batch(Some(n))).map_err(|_| "is a number of pictures, or `dynamic`".to_owned()),
    }
}

fn naming(name: &str) -> Result<Naming, String> {
    Naming::find(name).ok_or_else(|| {
        let names: Vec<&str> = Naming::ALL.iter().map(|naming| naming.name()).collect();
        format!("is none of {}", names.join(", "))
    })
}

/// What was written.
#[derive(Serialize)]
struct Written<'a> {
    output: &'a Path,
    nodes: usize,
    params: u64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    args.destination.check()?;
    let model = args.target.model(None, args.seed)?;
    args.destination.write(&model, out)
}

impl Destination {
    /// Refuses a form that is not written, before any work is done.
    pub(crate) fn check(&self) -> Result {
        self.form().map(drop)
    }

    fn form(&self) -> Result<Form> {
        let extension = self.output.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "onnx" if self.names != Naming::Sepal => Err(Failure::usage(
                "--names is for .safetensors files: an ONNX file holds the network, and names of its own",
            )),
            "onnx" => Ok(Form::Onnx),
            "safetensors" => Ok(Form::Native),
            _ => {
                let text = format!("{}: the extension names no form that is written", self.output.display());
                Err(Failure::usage(text).hint("name the output .onnx or .safetensors"))
            }
        }
    }

    /// Writes the model and says so.
    pub(crate) fn write(&self, model: &Model, out: Output) -> Result {
        match self.form()? {
            Form::Onnx => {
                let options = onnx::ExportOptions { opset: self.opset, batch: self.batch.0 };
                onnx::write(model, &self.output, &options)?;
            }
            Form::Native if self.names == Naming::Sepal => native::write(model, &self.output)?,
            Form::Native => names::export(model, self.names)?.write(&self.output)?,
        }
        let (nodes, params) = (model.graph.nodes.len(), model.graph.cost()?.params);
        out.text(format!("wrote {}: {nodes} nodes, {} parameters", self.output.display(), grouped(params)))?;
        Ok(out.result(&Written { output: &self.output, nodes, params })?)
    }
}

enum Form {
    Onnx,
    Native,
}
