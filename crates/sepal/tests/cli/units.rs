//! What layers learn, and domains scored.

use sepal::Model;
use sepal::formats::bundle::{Bundle, Measured, Record};
use sepal::formats::open;
use tempfile::TempDir;

use crate::support::{assert_fields, model_file, photos, sepal};

#[test]
fn units_of_a_network_and_a_sheet_of_pictures() {
    let (photos, dir) = (photos(), TempDir::new().unwrap());
    let model = model_file(dir.path());
    let sheet = dir.path().join("units.svg");
    let words = format!("units --json --top 3 --show 2 --threads 1 -o {} --", sheet.display());
    let report = sepal(&words, &[&model, photos.path()]).ok().json();
    assert_fields(&report, &["images", "layers", "selectivity", "low_level"]);
    let layers = report["layers"].as_array().unwrap();
    // MobileNet's thirteen blocks.
    assert_eq!((layers.len(), &report["images"], &report["selectivity"]["n"]), (26, &8.into(), &13.into()));
    assert_eq!((&layers[0]["kind"], &layers[1]["kind"]), (&"depthwise".into(), &"pointwise".into()));
    assert!(layers[0]["units"].as_array().unwrap().iter().all(|unit| unit["top"].as_array().unwrap().len() == 3));
    let svg = std::fs::read_to_string(&sheet).unwrap();
    assert!(svg.contains("data:image/png;base64,iVBOR") && svg.contains("depthwise 3×3") && svg.contains("<use "));
    let text = sepal("units --threads 1", &[&model, photos.path()]).ok().out;
    assert!(text.contains("selectivity") && text.contains("the claim that depthwise units are high-level"), "{text}");
}

#[test]
fn figures_and_bundles_are_scored() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("shared.csv"), "domain,top1\na,0.9\nb,0.6\n").unwrap();
    std::fs::write(at("scratch.json"), r#"{"a": {"error": 0.1}, "b": {"error": 0.2}, "c": {"error": 0.3}}"#).unwrap();
    let words = format!("domains score --json --baseline {} --", at("scratch.json").display());
    let run = sepal(&words, &[&at("shared.csv")]).ok();
    let score = run.json();
    let total = score["total"].as_f64().unwrap();
    assert!(
        (total - 250.0).abs() < 1e-6 && score["best"] == 3000.0 && run.err.contains("c was not measured"),
        "{score}"
    );
    sepal("domains score", &[&at("shared.csv")]).fails(2, &["shared.csv", "no baseline"]);
    std::fs::write(at("dtd.csv"), "domain,error,baseline\ndtd,0.5,\n").unwrap();
    assert_eq!(sepal("domains score --json", &[&at("dtd.csv")]).ok().json()["best"], 10_000.0);

    let model: Model = open(model_file(dir.path())).unwrap();
    let record =
        |top1| Record { measured: Some(Measured { set: "test".into(), images: None, top1 }), ..Record::default() };
    let mut bundle = Bundle::new("trunk", model.clone(), record(0.5)).unwrap();
    bundle.add("a", sepal::graph::Protocol::Finetune, model.clone(), record(0.95)).unwrap();
    bundle.write(at("b.safetensors")).unwrap();
    // The trunk has no baseline there, and is left out.
    let run = sepal(&words, &[&at("b.safetensors")]).ok();
    assert!((run.json()["total"].as_f64().unwrap() - 562.5).abs() < 1e-6 && run.err.contains("trunk"), "{}", run.err);
    bundle.add("b", sepal::graph::Protocol::Finetune, model, Record::default()).unwrap();
    bundle.write(at("b.safetensors")).unwrap();
    sepal(&words, &[&at("b.safetensors")]).fails(1, &["no accuracy is recorded of domain 'b'"]);
}
