//! `sepal domains score`: several domains in one number.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sepal_formats::bundle::Bundle;
use sepal_report::{Table, percent};
use sepal_train::{DECATHLON_BASELINE, DecathlonScore, decathlon_score};
use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::output::{Output, log};

/// A file of figures is far shorter.
const MAX_FIGURES: u64 = 1 << 20;

/// Score domains against a baseline as the Visual Decathlon does: 250 each for the baseline's error, 1000 for none
///
/// FIGURES is a bundle, whose domains' recorded accuracies count, or a CSV file with a line `domain,error` (or `domain,top1`) and a line for each domain, a column `baseline`
/// with the baseline's error if you like; or JSON, {"domain": {"top1": 0.91, "baseline": 0.12}}. All are shares from
/// 0 to 1. The data sets of the challenge have a baseline built in.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  sepal domains score b.safetensors --baseline scratch.csv
  sepal domains score shared.csv --baseline scratch.csv
  sepal domains score decathlon.json           the challenge's data sets, its baseline")]
pub(crate) struct Args {
    /// A bundle, or errors or accuracies of its domains (.csv, .json)
    figures: PathBuf,
    /// The baseline's, in any of these forms [default: the column `baseline`, else that of the challenge]
    #[arg(long, value_name = "FIGURES")]
    baseline: Option<PathBuf>,
}

/// What a file says of a domain.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    error: Option<f64>,
    #[serde(alias = "accuracy")]
    top1: Option<f64>,
    baseline: Option<f64>,
}

pub(crate) fn run(args: &Args, out: Output) -> Result {
    let figures = read(&args.figures)?;
    let mut errors = errors(&args.figures, &figures)?;
    let baselines = match &args.baseline {
        Some(path) => {
            let baselines = self::errors(path, &read(path)?)?;
            leave_out_trunk(&args.figures, &mut errors, &baselines)?;
            baselines
        }
        None => given_baselines(&args.figures, &figures)?,
    };
    let score = decathlon_score(&errors, &baselines).map_err(|e| Failure::from(e).context(args.figures.display()))?;
    for domain in score.domains.iter().filter(|domain| domain.error.is_none()) {
        log(format!("note: {} was not measured and scores 0", domain.name));
    }
    show(&score, out)?;
    Ok(out.result(&score)?)
}

fn show(score: &DecathlonScore, out: Output) -> Result {
    let mut table = Table::new().left("domain").right("error").right("baseline").right("score");
    for domain in &score.domains {
        let error = domain.error.map_or_else(|| "–".into(), percent);
        table.row([domain.name.clone(), error, percent(domain.baseline), format!("{:.0}", domain.score)]);
    }
    table.rule();
    table.row(["total".into(), String::new(), String::new(), format!("{:.0} of {:.0}", score.total, score.best)]);
    Ok(out.text(table)?)
}

/// The errors of those domains that have one.
fn errors(path: &Path, figures: &BTreeMap<String, Figures>) -> Result<Vec<(String, f64)>> {
    let fail = |name: &str, why| Err(Failure::failed(format!("{}, domain '{name}': {why}", path.display())));
    let mut errors = Vec::new();
    for (name, of) in figures {
        match (of.error, of.top1) {
            (Some(error), None) => errors.push((name.clone(), error)),
            (None, Some(top1)) if (0.0..=1.0).contains(&top1) => errors.push((name.clone(), 1.0 - top1)),
            (None, Some(_)) => return fail(name, "top1 is no share of pictures, from 0 to 1"),
            (Some(_), Some(_)) => return fail(name, "it has both an error and an accuracy"),
            (None, None) => return fail(name, "it has neither an error nor an accuracy"),
        }
    }
    Ok(errors)
}

/// Baselines that come with the figures, or the challenge's if all domains are of it.
fn given_baselines(path: &Path, figures: &BTreeMap<String, Figures>) -> Result<Vec<(String, f64)>> {
    let own = figures.iter().filter_map(|(name, of)| Some((name.clone(), of.baseline?)));
    let own: Vec<_> = own.collect();
    if !own.is_empty() {
        return Ok(own);
    }
    let known = |name: &String| DECATHLON_BASELINE.iter().any(|(other, _)| other == name);
    if figures.keys().all(known) {
        return Ok(DECATHLON_BASELINE.map(|(name, error)| (name.to_owned(), error)).to_vec());
    }
    let names = DECATHLON_BASELINE.map(|(name, _)| name).join(", ");
    Err(Failure::usage(format!("{}: there is no baseline to score against", path.display()))
        .hint(format!("give --baseline FIGURES or a column `baseline`; only {names} have one built in")))
}

/// A bundle's trunk is where the other domains start from: without a baseline of its own it is not scored.
fn leave_out_trunk(path: &Path, errors: &mut Vec<(String, f64)>, baselines: &[(String, f64)]) -> Result {
    if !is_bundle(path) {
        return Ok(());
    }
    let bundle = Bundle::read(path)?;
    let trunk = &bundle.trunk().name;
    if !baselines.iter().any(|(name, _)| name == trunk) && errors.iter().any(|(name, _)| name == trunk) {
        log(format!("note: the trunk, {trunk}, has no baseline and is not scored"));
        errors.retain(|(name, _)| name != trunk);
    }
    Ok(())
}

fn is_bundle(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors")
}

/// The accuracies that a bundle records of its domains.
fn recorded(path: &Path) -> Result<BTreeMap<String, Figures>> {
    let mut figures = BTreeMap::new();
    for domain in Bundle::read(path)?.domains() {
        let Some(measured) = &domain.record.measured else {
            let why = format!("{}: no accuracy is recorded of domain '{}'", path.display(), domain.name);
            return Err(Failure::failed(why).hint("`sepal domains eval` measures it; write the figures to a CSV file"));
        };
        figures.insert(domain.name.clone(), Figures { top1: Some(measured.top1), ..Figures::default() });
    }
    Ok(figures)
}

fn read(path: &Path) -> Result<BTreeMap<String, Figures>> {
    if is_bundle(path) {
        return recorded(path);
    }
    let context = |failure: Failure| failure.context(path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|e| context(e.into()))?;
    file.take(MAX_FIGURES).read_to_string(&mut text).map_err(|e| context(e.into()))?;
    let figures = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|e| context(e.into()))?,
        false => csv(&text).map_err(context)?,
    };
    if figures.is_empty() {
        return Err(context(Failure::failed("it names no domain")));
    }
    Ok(figures)
}

/// A head and a line for each domain; names have no commas.
fn csv(text: &str) -> Result<BTreeMap<String, Figures>> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let head: Vec<_> = lines.next().map_or(Vec::new(), |(line, _)| line.split(',').map(str::trim).collect());
    let known = ["error", "top1", "accuracy", "baseline"];
    if head.first() != Some(&"domain") || !head[1..].iter().all(|column| known.contains(column)) {
        let found = head.join(",");
        return Err(Failure::failed(format!(
            "the first line is '{found}', expected domain,error,baseline or the like"
        )));
    }
    let mut figures = BTreeMap::new();
    for (line, number) in lines {
        let cells: Vec<_> = line.split(',').map(str::trim).collect();
        if cells.len() != head.len() {
            let (found, expected) = (cells.len(), head.len());
            return Err(Failure::failed(format!("line {number} has {found} cells, the head {expected}")));
        }
        let mut of = Figures::default();
        for (column, cell) in head.iter().zip(&cells).skip(1).filter(|(_, cell)| !cell.is_empty()) {
            let value = cell.parse().map_err(|_| Failure::failed(format!("line {number}: '{cell}' is no number")))?;
            let place = match *column {
                "error" => &mut of.error,
                "baseline" => &mut of.baseline,
                _ => &mut of.top1,
            };
            *place = Some(value);
        }
        if figures.insert(cells[0].to_owned(), of).is_some() {
            return Err(Failure::failed(format!("line {number}: domain '{}' is there a second time", cells[0])));
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_in_both_forms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures");
        for text in [
            "domain,top1,baseline\r\na, 0.9,0.2\nb,0.5,\n\n",
            r#"{"a": {"accuracy": 0.9, "baseline": 0.2}, "b": {"error": 0.5}}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let figures = read(&path).unwrap();
            let errors = errors(&path, &figures).unwrap();
            assert!((errors[0].1 - 0.1).abs() < 1e-9 && errors[1] == ("b".to_owned(), 0.5), "{errors:?}");
            assert_eq!(given_baselines(&path, &figures).unwrap(), [("a".to_owned(), 0.2)]);
        }
        for (text, words) in [
            ("a,0.1\n", &["first line", "a,0.1"][..]),
            ("domain,error\na,x\n", &["line 2", "'x'"]),
            ("domain,error\na\n", &["line 2", "1 cells"]),
            ("domain,error\na,0.1\na,0.2\n", &["line 3", "second time"]),
            ("domain,error\n", &["no domain"]),
            ("{\"a\": {\"err\": 1}}", &["err"]),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = read(&path).unwrap_err().to_string();
            assert!(words.iter().chain(&["figures"]).all(|word| failure.contains(word)), "{failure}");
        }
        for (text, words) in [
            ("domain,error,top1\na,0.1,0.9\n", "both"),
            ("domain,top1\na,91\n", "share"),
            ("domain,error\na,\n", "neither"),
        ] {
            std::fs::write(&path, text).unwrap();
            let failure = errors(&path, &read(&path).unwrap()).unwrap_err().to_string();
            assert!(failure.contains(words) && failure.contains("'a'"), "{failure}");
        }
        std::fs::write(&path, "domain,error\nours,0.1\n").unwrap();
        assert!(given_baselines(&path, &read(&path).unwrap()).unwrap_err().to_string().contains("--baseline"));
        std::fs::write(&path, "domain,error\ndtd,0.1\n").unwrap();
        assert_eq!(given_baselines(&path, &read(&path).unwrap()).unwrap().len(), 10);
    }
}
