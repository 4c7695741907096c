//! `sepal bench`: what it measures, explains and compares.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{assert_fields, sepal};

/// A network that takes no time.
const NET: &str = "bench mobilenet_v1:width=0.25 --size 32 --threads 1";

#[test]
fn bench_says_how_fast() {
    let common = format!("{NET} --niter 3 --json");
    let infer = sepal(&format!("{common} --batch 2 --profile"), &[]).ok().json();
    assert_fields(&infer, &["median_ms", "min_ms", "p90_ms", "p99_ms", "gflops", "threads", "batch", "memory_bytes"]);
    assert_eq!((&infer["batch"], &infer["threads"], &infer["iterations"]), (&2.into(), &1.into(), &3.into()));
    assert!(infer["load_ms"].as_f64().unwrap() > 0.0 && infer["compile_ms"].as_f64().unwrap() > 0.0);
    let layers = infer["layers"].as_array().unwrap();
    let total: f64 = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).sum();
    assert!(layers.len() > 10 && (total - 1.0).abs() < 1e-6, "{} layers, {total}", layers.len());
    assert!(infer["bandwidth_gbs"].as_f64().unwrap() > 0.0);
    for layer in layers {
        let number = |name: &str| layer[name].as_f64().unwrap_or_else(|| panic!("no {name} in {layer}"));
        let [peak, bandwidth] = [&infer["peak_gflops"], &infer["bandwidth_gbs"]].map(|n| n.as_f64().unwrap());
        let limit = (2e-6 * number("macs") / peak).max(1e-6 * number("bytes") / bandwidth);
        assert!((number("limit_ms") / limit - 1.0).abs() < 1e-6, "{layer}");
        assert!((number("times_limit") * number("limit_ms") - number("ms")).abs() < 1e-9, "{layer}");
    }
    if cfg!(target_os = "linux") {
        assert!(infer["peak_rss_bytes"].as_u64().unwrap() > infer["memory_bytes"].as_u64().unwrap());
    }

    let train = sepal(&format!("{common} --batch 4 --train --profile --isa scalar"), &[]).ok().json();
    assert_fields(&train, &["median_ms", "images_per_second", "gflops", "share_of_peak", "layers"]);
    assert_eq!((&train["mode"], &train["isa"]), (&"train".into(), &"scalar".into()));
    // Three passes with 100 classes, four pictures.
    let forward = sepal("summary mobilenet_v1:width=0.25 --size 32 --classes 100 --json", &[]).json()["macs"].as_u64();
    assert_eq!(train["macs"].as_u64().unwrap(), forward.unwrap() * 3 * 4);
    let layers = train["layers"].as_array().unwrap();
    assert_eq!(
        layers.iter().map(|layer| layer["macs"].as_u64().unwrap()).sum::<u64>(),
        train["macs"].as_u64().unwrap()
    );
    let passes = train["passes"].as_array().unwrap();
    let of = |name: &str| passes.iter().find(|pass| pass["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let sum = |field: &str| layers.iter().filter_map(|layer| layer[field].as_f64()).sum::<f64>();
    let backward = of("norm sums")["ms"].as_f64().unwrap() + of("gradients")["ms"].as_f64().unwrap();
    assert!((sum("forward_ms") - of("forward")["ms"].as_f64().unwrap()).abs() < 1e-9);
    assert!((sum("backward_ms") - backward).abs() < 1e-9);
    assert!(sum("input_ms") > 0.0 && sum("weights_ms") > 0.0 && of("update")["gbs"].as_f64().unwrap() > 0.0);
    assert_eq!(of("moving average")["share"], Value::Null);
    let shares: f64 = passes.iter().filter_map(|pass| pass["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    // A first layer's pictures have no gradient; a depthwise layer reads and writes each of its tensors.
    let first = layers.iter().find(|layer| layer["kind"].as_str().unwrap().starts_with("conv 3×3/2")).unwrap();
    assert_eq!(first["input_ms"], Value::Null);
    assert!(layers.iter().all(|layer| layer["fallback"].is_null()), "a layer fell back");
}

#[test]
fn a_layer_on_a_slow_operator_is_named() {
    let words =
        "bench mobilenet_v1:width=0.25,block=bsconv_u --size 32 --threads 1 --niter 2 --batch 4 --train --profile";
    let text = sepal(words, &[]).ok().out;
    for words in ["gradients", "moving average", "not in a step", "fallback    none", "depthwise 3×3 + norm + relu"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    let text =
        sepal("bench resnext50_32x4d --size 32 --threads 1 --niter 1 --warmup 0 --batch 4 --train --profile", &[])
            .ok()
            .out;
    assert!(text.contains("fallback    ") && text.contains("groups share channel blocks"), "{text}");
}

#[test]
fn the_profile_ends_with_a_total() {
    let text = sepal(&format!("{NET} --niter 3 --warmup 0 --profile"), &[]).ok().out;
    for words in ["of peak", "× limit", "\ntotal ", "100.0 %", "to load", "to compile", "GB/s from memory"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}

#[test]
fn a_plan_is_explained_without_timing() {
    let text = sepal(&format!("{NET} --explain"), &[]).ok().out;
    for words in ["depthwise 3×3/2 + bias + relu", "KiB in the arena", "3×32×32", "weights", "scratch"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(!text.contains("median"), "{text}");
    let plan = sepal(&format!("{NET} --batch 3 --explain --json"), &[]).ok().json();
    assert_fields(&plan, &["name", "isa", "threads", "batch", "group", "memory_bytes", "memory", "steps"]);
    let steps = plan["steps"].as_array().unwrap();
    let forward = sepal("summary mobilenet_v1:width=0.25 --size 32 --json", &[]).json()["macs"].as_u64();
    assert_eq!(steps.iter().map(|step| step["macs"].as_u64().unwrap()).sum::<u64>(), forward.unwrap());
    let arena = plan["memory"]["arena"].as_u64().unwrap();
    for step in &steps[1..steps.len() - 1] {
        let values = step["inputs"].as_array().unwrap().iter().chain([&step["output"]]);
        for value in values {
            let floats: u64 = value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product();
            assert!(value["offset"].as_u64().unwrap() + 4 * floats <= arena, "{step}");
        }
        assert!(step["weight_bytes"].as_u64().unwrap() <= step["bytes"].as_u64().unwrap(), "{step}");
    }
    assert_eq!((&steps[0]["inputs"], &steps[steps.len() - 1]["output"]["offset"]), (&json!([]), &Value::Null));
    sepal(&format!("{NET} --explain --train"), &[]).fails(2, &["--explain"]);
}

#[test]
fn runs_are_compared() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let with = |words: &str, path: &Path| sepal(&format!("{NET} --niter 3 --warmup 1 {words} --compare"), &[path]);
    let run = sepal(&format!("{NET} --niter 3 --profile --json"), &[]).ok();

    // Against a run that took a thousand times as long, below lines that are none.
    let mut slow = run.json();
    for name in ["median_ms", "min_ms", "p25_ms", "p75_ms"] {
        slow[name] = json!(slow[name].as_f64().unwrap() * 1e3);
    }
    slow["threads"] = json!(7);
    let other = slow["layers"][3]["name"].clone();
    slow["layers"][3]["name"] = json!("gone");
    slow["layers"][3]["ms"] = json!(1e6);
    let path = file("slow.json", &format!("a word\n{{\"median_ms\": 1}}\n{slow}\n[1]\n"));
    let now = with("--profile --json", &path).ok().json();
    let compare = &now["compare"];
    assert_eq!(compare["verdict"], "faster", "{compare}");
    assert_eq!(compare["differences"], json!(["threads: 7 before, 1 now"]));
    assert_eq!(compare["median_ms"]["before"], slow["median_ms"]);
    assert_eq!(compare["median_ms"]["after"], now["median_ms"]);
    assert_eq!((&compare["layers"][0]["name"], &compare["layers"][0]["after_ms"]), (&json!("gone"), &Value::Null));
    assert_eq!(compare["layers"].as_array().unwrap().len(), 10);
    assert!(other.is_string() && compare["memory_bytes"]["before"] == compare["memory_bytes"]["after"]);
    let text = with("--profile", &path).ok().out;
    for words in ["compared with", "not alike   threads: 7 before", "gone", "faster: the median by −"] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }

    // Samples that lie far apart say nothing.
    let mut wide = run.json();
    (wide["p25_ms"], wide["p75_ms"]) = (json!(0.0), json!(1e6));
    let path = file("wide.json", &wide.to_string());
    assert_eq!(with("--json", &path).ok().json()["compare"]["verdict"], "same");

    let none = dir.path().join("none.json");
    with("", &none).fails(1, &["none.json", "cannot read"]);
    with("", &file("text", "no\nJSON\n")).fails(1, &["text: no line of it is a JSON object", "hint: make one with"]);
    with("", &file("binary", "\u{1}\u{2}")).fails(1, &["binary: no line"]);
    std::fs::write(dir.path().join("raw"), [0xff, 0xfe, 0x00]).unwrap();
    with("", &dir.path().join("raw")).fails(1, &["raw", "UTF-8"]);
    with("", &file("other.json", "{\"top1\":0.9}")).fails(1, &["other.json", "missing field `median_ms`"]);
    with("", &file("zero.json", "{\"median_ms\":0,\"min_ms\":0}")).fails(1, &["zero.json", "must be above 0"]);
}
