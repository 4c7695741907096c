//! Many domains, one file.

use std::path::{Path, PathBuf};

use sepal::formats::{bundle::Bundle, native, open};
use sepal::{CompileOptions, DomainPlans, Meta, Model, Open, Weights};
use tempfile::TempDir;

use crate::support::{Run, SIZE, TINY, assert_fields, model_file, photos, sepal, sepal_in};

/// Options of a training that takes a moment.
pub(crate) const QUICK: &str = "--epochs 2 --batch 8 --threads 1 --ema 0.5 --progress none";

/// A folder with a bundle whose one domain, `first`, was trained for a moment on `photos`.
pub(crate) fn begun(photos: &Path) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let train = format!("train --model {TINY} --size {SIZE} {QUICK} --out {} --", dir.path().join("run").display());
    sepal(&train, &[photos]).ok();
    let bundle = dir.path().join("b.safetensors");
    let init = format!("domains init --json --name first -o {} --", bundle.display());
    let report = sepal(&init, &[&dir.path().join("run")]).ok().json();
    assert_fields(&report, &["bundle", "name", "protocol", "private_params", "classes", "size", "top1", "set"]);
    (dir, bundle)
}

/// Adds a domain, trained for a moment.
fn add(dir: &Path, bundle: &Path, photos: &Path, words: &str) -> Run {
    sepal_in(dir, &format!("domains add {QUICK} --lr 0.01 --json {words} --"), &[bundle, photos])
}

fn extracted(bundle: &Path, domain: &str) -> Vec<u8> {
    let out = bundle.with_file_name(format!("{domain}.extracted"));
    let words = format!("domains extract --domain {domain} -o {} --json --", out.display());
    assert_fields(&sepal(&words, &[bundle]).ok().json(), &["domain", "model", "network", "params"]);
    std::fs::read(out).unwrap()
}

#[test]
fn a_bundle_from_its_beginning_to_its_end() {
    let photos = photos();
    let (dir, bundle) = begun(photos.path());
    let folder = photos.path().join("test");
    let predict =
        |domain: &str| sepal(&format!("domains predict --json --domain {domain} --"), &[&bundle, &folder]).ok().out;
    let (model, words) = (extracted(&bundle, "first"), predict("first"));
    let mut before = vec![("first", model, words)];
    for (name, options) in [
        ("pw", "--seed 3"),
        ("head", "--protocol features"),
        ("own", "--protocol finetune"),
        ("soft", "--protocol soft --start pw"),
    ] {
        let report = add(dir.path(), &bundle, photos.path(), &format!("--name {name} {options}")).ok().json();
        assert_fields(&report, &["bundle", "name", "protocol", "shared_params", "private_params", "top1", "training"]);
        assert!(dir.path().join("runs").join(name).join("recipe.toml").is_file());
        for (domain, model, words) in &before {
            assert!(extracted(&bundle, domain) == *model && predict(domain) == *words, "{domain} after {name}");
        }
        before.push((name, extracted(&bundle, name), predict(name)));
    }

    let whole = Bundle::read(&bundle).unwrap();
    let [first, head] = ["first", "head"].map(|name| whole.model(name).unwrap().weights);
    let differ: Vec<&str> =
        first.iter().filter(|(path, tensor)| head.get(path).unwrap() != *tensor).map(|(path, _)| path).collect();
    assert_eq!(differ, ["classifier.bias", "classifier.weight"]);
    let listing = sepal("domains list --json", &[&bundle]).ok().json();
    assert_fields(&listing, &["trunk", "network", "domains", "params", "separate_params"]);
    let names: Vec<_> =
        listing["domains"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "pw", "head", "own", "soft"]);
    assert_eq!(listing["domains"][4]["borrows"], serde_json::json!(["first", "pw"]));
    let [own, separate] = ["params", "separate_params"].map(|key| listing[key].as_u64().unwrap());
    assert!(own < separate);
    assert!(sepal("domains list", &[&bundle]).ok().out.contains("share-pointwise"));

    // A domain taken out is a model like any other.
    let plain = dir.path().join("pw.safetensors");
    std::fs::copy(dir.path().join("pw.extracted"), &plain).unwrap();
    assert_eq!(sepal("predict --json", &[&plain, &folder]).ok().out, predict("pw"));
    let [of_bundle, of_model] = ["domains eval --domain pw --json --", "eval --json"].map(|words| {
        let file = if words.contains("domains") { &bundle } else { &plain };
        sepal(words, &[file, photos.path()]).ok().json()
    });
    assert_eq!((&of_bundle["top1"], &of_bundle["loss"]), (&of_model["top1"], &of_model["loss"]));

    let svg = dir.path().join("gates.svg");
    let gates =
        sepal(&format!("domains gates --domain soft -o {} --json --", svg.display()), &[&bundle, photos.path()]);
    let gates = gates.ok().json();
    assert_eq!((&gates["domains"], &gates["images"]), (&serde_json::json!(["first", "pw"]), &8.into()));
    for layer in gates["layers"].as_array().unwrap() {
        let sum: f64 = layer["gates"].as_array().unwrap().iter().map(|gate| gate.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{layer}");
    }
    assert!(std::fs::read_to_string(svg).unwrap().contains("<svg"));
    sepal("domains gates --domain pw", &[&bundle, photos.path()]).fails(1, &["has no gates", "soft"]);

    runs_as_separate_models(&whole);
    let bench = sepal("domains bench --threads 1 --json", &[&bundle]).ok().json();
    assert_fields(&bench, &["domains", "shared_bytes", "session_bytes", "total_bytes", "separate_bytes", "switch_us"]);
    assert!(bench["total_bytes"].as_u64() < bench["separate_bytes"].as_u64(), "{bench}");

    for (name, words) in [("pw", "borrowed by soft"), ("first", "borrowed by pw, head, soft")] {
        sepal(&format!("domains remove --domain {name}"), &[&bundle]).fails(1, &[words]);
    }
    for name in ["soft", "pw"] {
        sepal(&format!("domains remove --domain {name}"), &[&bundle]).ok();
    }
    let names: Vec<_> = Bundle::read(&bundle).unwrap().domains().iter().map(|domain| domain.name.clone()).collect();
    assert_eq!(names, ["first", "head", "own"]);
    assert!(extracted(&bundle, "own") == before[3].1);
}

/// Holds the plans of all domains against those of their models, and what is shared against what protocols say.
fn runs_as_separate_models(bundle: &Bundle) {
    let options = CompileOptions::default();
    let plans = DomainPlans::compile(bundle, &options).unwrap();
    let shared: Vec<usize> = plans.iter().map(|(_, plan)| plan.shared_weights()).collect();
    let [first, pw, head, own, soft] = shared[..] else { panic!("{shared:?}") };
    assert!(first > 0 && pw == first && soft == first && head > first && own == 0, "{shared:?}");
    assert_eq!(plans.shared_bytes(), first + head);
    assert!(plans.get("frist").is_none());
    let mut moving = plans.get("first").unwrap().session();
    for (name, plan) in plans.iter() {
        let mut alone = bundle.model(name).unwrap().compile(&options).unwrap().session();
        let image: Vec<f32> = (0..plan.input_shape().elements()).map(|i| (i % 13) as f32 / 7.0 - 1.0).collect();
        let [mut got, mut expected] = [0.0, 1.0].map(|value| vec![value; plan.output_shape().elements()]);
        moving.switch(plan.clone());
        moving.run(&image, &mut got).unwrap();
        alone.run(&image, &mut expected).unwrap();
        let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got - expected).abs() < 1e-5 * most, "{name}: {got} for {expected}");
        }
    }
}

#[test]
fn what_cannot_be_done_with_a_bundle() {
    let photos = photos();
    let dir = TempDir::new().unwrap();
    let file = model_file(dir.path());
    let bundle = dir.path().join("b.safetensors");
    let init =
        |file: &Path, bundle: &Path| sepal(&format!("domains init --name first -o {} --", bundle.display()), &[file]);
    init(&file, &bundle).ok();
    init(&file, &bundle).fails(1, &["exists already", "domains add"]);
    sepal(&format!("domains init --name a/b -o {} --", dir.path().join("c").display()), &[&file]).fails(2, &["a/b"]);
    let before = std::fs::read(&bundle).unwrap();

    for verb in ["eval", "predict", "extract -o x", "remove", "gates"] {
        let paths: &[&Path] = if verb == "predict" { &[&bundle, photos.path()] } else { &[&bundle] };
        sepal(&format!("domains {verb} --domain frist --"), paths).fails(1, &["no domain `frist`", "first"]);
    }
    sepal("domains list", &[&file]).fails(1, &["is no bundle", "domains init"]);
    sepal("predict", &[&bundle, photos.path()]).fails(1, &["bundle", "first", "domains extract"]);
    let add = |words: &str| add(dir.path(), &bundle, photos.path(), words);
    add("--name first").fails(1, &["has a domain `first` already", "remove"]);
    add("--name bad/name").fails(2, &["bad/name"]);
    add("--name x --protocol share").fails(2, &["share-pointwise", "share-depthwise"]);
    add("--name x --protocol soft").fails(1, &["several domains", "share-pointwise"]);
    add("--name x --protocol scratch --start first").fails(2, &["--start"]);
    add("--name x --start second").fails(1, &["no domain `second`"]);
    sepal("domains add --name x --from nowhere --", &[&bundle]).fails(1, &["nowhere"]);

    let graph = sepal::zoo::build(&"resnet20".parse().unwrap(), Some([SIZE; 2]), 2).unwrap();
    let weights = Weights::init(&graph, 0).unwrap();
    let plain = open(&file).unwrap();
    let meta = Meta { classes: plain.meta.classes.clone(), ..plain.meta.clone() };
    let (other, whole) = (dir.path().join("resnet.safetensors"), dir.path().join("r.safetensors"));
    native::write(&Model::new(graph, weights, meta).unwrap(), &other).unwrap();
    init(&other, &whole).ok();
    let refused = sepal_in(dir.path(), &format!("domains add {QUICK} --name x --"), &[&whole, photos.path()]);
    refused.fails(1, &["stem.conv", "(3×3)", "block=dsc"]);

    // A domain whose pictures are prepared in another size than its network takes.
    let mut odd = plain;
    odd.meta.preprocessing.as_mut().unwrap().size = [SIZE + 4; 2];
    native::write(&odd, &other).unwrap();
    let whole = dir.path().join("e.safetensors");
    init(&other, &whole).ok();
    let predicted = sepal("domains predict --domain first --", &[&whole, photos.path()]);
    predicted.fails(1, &["e.safetensors", "takes 3×16×16", "3×20×20"]);
    assert_eq!(std::fs::read(&bundle).unwrap(), before);
}
