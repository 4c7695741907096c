//! `sepal inspect`: what a file holds.

use std::path::PathBuf;

use sepal_formats::TensorInfo;
use sepal_report::{Table, grouped};
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;

/// Longest text of metadata that is shown to people; --json has all of it.
const SHOWN: usize = 100;

/// Say what a model, weight or array file holds, without knowing its network
///
/// Reads .safetensors, .onnx, .pth (nothing in it is executed), .h5, .npy, run folders, and folders of
/// model.safetensors and config.json.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal inspect runs/mobilenet_v1
  sepal inspect weights.pth --json")]
pub(crate) struct Args {
    /// The file
    file: PathBuf,
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    #[serde(flatten)]
    inspection: &'a sepal_formats::Inspection,
    elements: u64,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let inspection = sepal_formats::inspect(&args.file)?;
    let elements = inspection.elements();
    out.text(format!("{}: {}\n", args.file.display(), inspection.kind))?;
    if !inspection.metadata.is_empty() {
        let mut table = Table::new().left("metadata").left("value");
        for (key, value) in &inspection.metadata {
            table.row([key.clone(), shown(value)]);
        }
        out.text(table)?;
    }
    if !inspection.tensors.is_empty() {
        let mut table = Table::new().left("tensor").left("type").right("shape").right("elements");
        for tensor in &inspection.tensors {
            let elements = tensor.elements().map_or("too many".to_owned(), grouped);
            table.row([tensor.name.clone(), tensor.dtype.clone(), shape(tensor), elements]);
        }
        out.text(table)?;
    }
    for note in &inspection.notes {
        out.text(format!("note: {note}"))?;
    }
    out.text(format!("\n{} tensors, {} elements", inspection.tensors.len(), grouped(elements)))?;
    Ok(out.result(&Report { file: args.file.display().to_string(), inspection: &inspection, elements })?)
}

fn shape(tensor: &TensorInfo) -> String {
    let sizes: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
    if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("×") }
}

/// The beginning of a text on one line.
fn shown(text: &str) -> String {
    let line: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() { line + "…" } else { line }
}
