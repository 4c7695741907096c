//! `sepal domains list`: what is in a bundle.

use std::path::PathBuf;

use sepal_formats::bundle::{Bundle, Domain};
use sepal_graph::{Protocol, Sharing};
use sepal_report::{Table, grouped};
use serde::Serialize;

use crate::failure::Result;
use crate::output::Output;

/// List the domains of a bundle: what they share and own, classes, accuracy
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains list b.safetensors
  sepal domains list b.safetensors --json")]
pub(crate) struct Args {
    /// The bundle's file
    bundle: PathBuf,
}

#[derive(Serialize)]
struct Listing {
    trunk: String,
    network: String,
    domains: Vec<Row>,
    /// Learnable parameters of all domains as the bundle stores them.
    params: u64,
    /// The same of as many separate models.
    separate_params: u64,
}

/// A domain.
#[derive(Serialize)]
pub(super) struct Row {
    name: String,
    protocol: Protocol,
    shared_params: u64,
    private_params: u64,
    classes: Vec<String>,
    size: Option<[usize; 2]>,
    data: Option<String>,
    /// The set that `top1` is the accuracy on.
    set: Option<String>,
    top1: Option<f64>,
    seconds: Option<f64>,
    /// The domains whose tensors it borrows.
    borrows: Vec<String>,
}

impl Row {
    pub(super) fn new(domain: &Domain) -> Result<Self> {
        let Domain { name, protocol, graph, meta, record, borrowed, .. } = domain;
        let sharing = Sharing::new(*protocol, graph)?;
        let mut borrows: Vec<String> = borrowed.values().map(|source| source.domain.clone()).collect();
        borrows.sort();
        borrows.dedup();
        Ok(Self {
            name: name.clone(),
            protocol: *protocol,
            shared_params: sharing.shared_params(),
            private_params: sharing.private_params(),
            classes: meta.classes.clone(),
            size: meta.preprocessing.as_ref().map(|preprocessing| preprocessing.size),
            data: meta.provenance.get("data").cloned(),
            set: record.measured.as_ref().map(|measured| measured.set.clone()),
            top1: record.measured.as_ref().map(|measured| measured.top1),
            seconds: record.seconds,
            borrows,
        })
    }

    /// In a few words.
    pub(super) fn describe(&self) -> String {
        let [private, shared] = [self.private_params, self.shared_params].map(grouped);
        let Self { name, protocol, classes, .. } = self;
        let classes = classes.len();
        format!("`{name}` ({protocol}, {classes} classes): {private} parameters of its own, {shared} shared")
    }
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let bundle = Bundle::read(&args.bundle)?;
    let domains = bundle.domains().iter().map(Row::new).collect::<Result<Vec<Row>>>()?;
    let params = domains.iter().map(|row| row.private_params).sum();
    let separate_params = domains.iter().map(|row| row.private_params + row.shared_params).sum();
    let trunk = bundle.trunk();
    let listing =
        Listing { trunk: trunk.name.clone(), network: trunk.graph.name.clone(), domains, params, separate_params };
    show(&listing, out)?;
    Ok(out.result(&listing)?)
}

fn show(listing: &Listing, out: Output) -> Result {
    let mut table = Table::new().left("domain").left("protocol").right("classes").right("size");
    table = table.right("own params").right("shared").right("top-1").left("on").left("data");
    for row in &listing.domains {
        table.row([
            row.name.clone(),
            row.protocol.to_string(),
            row.classes.len().to_string(),
            row.size.map_or(String::new(), |[h, w]| format!("{h}×{w}")),
            grouped(row.private_params),
            grouped(row.shared_params),
            row.top1.map_or(String::new(), |top1| format!("{top1:.4}")),
            row.set.clone().unwrap_or_default(),
            row.data.clone().unwrap_or_default(),
        ]);
    }
    let Listing { trunk, network, domains, params, separate_params } = listing;
    let [params, separate] = [*params, *separate_params].map(grouped);
    out.text(format!("{network}, the trunk is that of `{trunk}`\n\n{table}"))?;
    out.text(format!("\n{} domains: {params} parameters; {separate} in separate models", domains.len()))?;
    Ok(())
}
