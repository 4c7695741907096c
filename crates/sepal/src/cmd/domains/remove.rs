//! `sepal domains remove`: one domain less.

use sepal_formats::bundle::Bundle;
use serde::Serialize;

use super::Of;
use crate::failure::Result;
use crate::output::Output;

/// Remove a domain that no other borrows from
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains remove b.safetensors --domain flowers")]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Report<'a> {
    bundle: String,
    removed: &'a str,
    domains: Vec<String>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let Of { bundle: path, domain } = &args.of;
    let domains = Bundle::update(path, |bundle| {
        bundle.remove(domain)?;
        Ok(bundle.domains().iter().map(|domain| domain.name.clone()).collect::<Vec<_>>())
    })?;
    let report = Report { bundle: path.display().to_string(), removed: domain, domains };
    out.text(format!("removed `{domain}`; {} has: {}", report.bundle, report.domains.join(", ")))?;
    Ok(out.result(&report)?)
}
