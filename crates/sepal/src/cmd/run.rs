//! `sepal run`: raw tensors through a network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use sepal_formats::npy;
use sepal_graph::{Model, Shape, Tensor};
use sepal_runtime::{CompileOptions, compile, session};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::target::{ModelFile, resized};
use crate::threads::Threads;

/// Run raw tensors through a network, without any preprocessing
///
/// The input is a NumPy array of shape N×C×H×W, or C×H×W for one picture; another height and width than the file's own
/// are taken where the network can. The output is an f32 array: N rows of logits.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal run runs/mobilenet_v1 --input x.npy --output y.npy
  sepal run net.safetensors --input x.npy --output y.npy --threads 1 --json")]
pub(crate) struct Args {
    #[command(flatten)]
    file: ModelFile,
    /// NumPy array to read
    #[arg(short, long, value_name = "X.npy")]
    input: PathBuf,
    /// NumPy array to write
    #[arg(short, long, value_name = "Y.npy")]
    output: PathBuf,
    #[command(flatten)]
    threads: Threads,
}

#[derive(Serialize)]
struct Done<'a> {
    shape: &'a [usize],
    ms: f64,
    threads: usize,
    output: String,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let model = args.file.open()?;
    let input = npy::read(&args.input)?;
    let file = args.input.display();
    let (batch, model) = fit(model, &input).map_err(|failure| failure.context(&file))?;

    let plan = Arc::new(compile(&model, &CompileOptions { batch, ..CompileOptions::default() })?);
    let per_image = plan.output_shape().elements();
    let Some(len) = batch.checked_mul(per_image) else {
        return Err(Failure::failed(format!("{file}: {batch} images are too many")));
    };
    let mut output = vec![0.0; len];
    let pool = args.threads.pool()?;
    let mut session = session(Arc::clone(&plan), pool);
    let start = Instant::now();
    session.run(input.data(), &mut output)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;

    let shape: Vec<usize> = std::iter::once(batch).chain(plan.output_shape().dims().iter().copied()).collect();
    let tensor = Tensor::new(shape, output)?;
    npy::write(&args.output, &tensor)?;
    let shape = tensor.shape();
    let text: Vec<String> = shape.iter().map(ToString::to_string).collect();
    out.text(format!("wrote {} of shape {} ({ms:.2} ms)", args.output.display(), text.join("×")))?;
    Ok(out.result(&Done { shape, ms, threads: args.threads.count(), output: args.output.display().to_string() })?)
}

/// The number of images in `input`, and the model for images of their size.
fn fit(model: Model, input: &Tensor) -> Result<(usize, Model)> {
    let wanted = model.graph.input_shape()?.clone();
    let (batch, shape) = match input.shape() {
        [n, rest @ ..] if rest.len() == 3 => (*n, rest),
        shape => (1, shape),
    };
    if shape == wanted.dims() {
        return Ok((batch, model));
    }
    let found: Vec<String> = input.shape().iter().map(ToString::to_string).collect();
    let wrong = || {
        Failure::failed(format!(
            "has shape {}, but the network `{}` takes N×{wanted}",
            found.join("×"),
            model.graph.name
        ))
    };
    let ([channels, _, _], &[c, height, width]) = (wanted.as_chw().ok_or_else(wrong)?, shape) else {
        return Err(wrong());
    };
    if c != channels || Shape::chw(c, height, width).is_err() {
        return Err(wrong());
    }
    let graph = resized(&model.graph, height, width)?;
    Ok((batch, Model { graph, ..model }))
}
