//! Commands that print what there is.

use crate::support::{assert_fields, sepal};

#[test]
fn models_and_blocks() {
    let models = sepal("models --json", &[]).ok().json();
    let list = models["models"].as_array().unwrap();
    let first = list.iter().find(|model| model["name"] == "mobilenet_v1").unwrap();
    assert_fields(first, &["name", "params", "macs", "input", "paper", "options"]);
    assert_eq!(first["params"], 4_231_976);
    let options = sepal("models mobilenet_v1", &[]).ok().out;
    assert!(options.contains("width") && options.contains("bn_relu"), "{options}");
    let table = sepal("models *mobilenet*", &[]).ok().out;
    assert!(table.contains("mobilenet_v1") && table.contains("4,231,976"), "{table}");
    sepal("models nothing*", &[]).fails(1, &["nothing*", "hint: there are: ", "mobilenet_v1"]);

    let blocks = sepal("blocks --json", &[]).ok().json();
    let dsc = blocks["blocks"].as_array().unwrap().iter().find(|block| block["name"] == "dsc").unwrap();
    assert_fields(dsc, &["title", "weights", "macs", "example_params", "example_macs", "paper"]);
    assert_eq!(dsc["example_params"], 128 * 9 + 128 * 128);
}

#[test]
fn recipes_by_name() {
    let listing = sepal("recipes --json", &[]).ok().json();
    let list = listing["recipes"].as_array().unwrap();
    let papers = ["1704.04861", "1610.02357", "1902.00927", "1811.07083", "1803.06815", "2003.13549"];
    for paper in papers {
        assert!(list.iter().any(|row| row["paper"].as_str().unwrap().contains(paper)), "{paper}");
    }
    let bsconv = list.iter().find(|row| row["name"] == "bsconv_s").unwrap();
    assert_fields(bsconv, &["name", "title", "paper", "sets", "toml", "recipe"]);
    assert_eq!((&bsconv["recipe"]["epochs"], &bsconv["recipe"]["ortho"]["alpha"]), (&200.into(), &0.1.into()));
    let toml = sepal("recipes bsconv_s", &[]).ok().out;
    assert!(toml.contains("base = \"bsconv_u\"") && toml.contains("2003.13549"), "{toml}");
    assert!(sepal("recipes", &[]).ok().out.contains("128, SGD 0.1, × 0.1 at 100, 150, 180"));
    sepal("recipes bsconv", &[]).fails(2, &["bsconv", "bsconv_u"]);
    sepal("train --recipe bsconv", &[]).fails(2, &["bsconv", "bsconv_u"]);
}

#[test]
fn summary_counts_mobilenet() {
    for (spec, params, macs) in
        [("mobilenet_v1", 4_231_976u64, 568_740_352u64), ("mobilenet_v1:width=1.25", 6_270_840, 879_516_800)]
    {
        let summary = sepal(&format!("summary {spec} --size 224 --classes 1000 --json"), &[]).ok();
        assert_eq!(summary.out.lines().count(), 1, "JSON alone");
        let summary = summary.json();
        assert_eq!((&summary["params"], &summary["macs"]), (&params.into(), &macs.into()));
        assert_eq!(summary["flops"], 2 * macs);
        let layers = summary["layers"].as_array().unwrap();
        assert_fields(&layers[1], &["name", "type", "input", "output", "kernel", "groups", "params", "macs"]);
        let sum = |field: &str| layers.iter().map(|layer| layer[field].as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("params"), sum("macs")), (params, macs));
    }
    let text = sepal("summary mobilenet_v1 --size 192x256", &[]).ok().out;
    for part in ["block1.depthwise", "3×192×256", "FLOPs", "2 × MACs", "activations", "MiB"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sepal(&format!("completions {shell}"), &[]).ok().out;
        assert!(script.contains("sepal") && script.contains("summary") && script.contains("completions"), "{shell}");
    }
}

#[test]
fn help_has_examples_for_every_verb() {
    let verbs = [
        "models",
        "blocks",
        "recipes",
        "summary",
        "train",
        "eval",
        "predict",
        "run",
        "bench",
        "data",
        "domains",
        "completions",
    ];
    for verb in verbs {
        let help = sepal(&format!("{verb} --help"), &[]).ok().out;
        assert!(help.contains("Examples:") && help.contains(&format!("sepal {verb}")), "{help}");
    }
    assert!(sepal("--version", &[]).ok().out.starts_with("sepal "));
}
