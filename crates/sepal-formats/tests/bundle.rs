//! Bundles: what is stored once, what is refused, and what no two writers can lose.

use std::collections::BTreeMap;

use sepal_formats::bundle::{Bundle, Measured, Record};
use sepal_formats::tensors::{self, Contents};
use sepal_formats::{FormatError, native, open};
use sepal_graph::{Activation, Builder, Conv2d, Graph, Meta, Model, Protocol, Shape, Weights};

/// A stem, a separable convolution, a classifier.
fn graph(classes: usize) -> Graph {
    let mut b = Builder::new("tiny");
    let x = b.input("input", Shape::chw(3, 8, 8).unwrap()).unwrap();
    let x = b.conv("stem.conv", x, Conv2d::standard(4, 3).same()).unwrap();
    let x = b.conv("sep.depthwise", x, Conv2d::depthwise(4, 3).same()).unwrap();
    let x = b.conv("sep.pointwise", x, Conv2d::pointwise(6)).unwrap();
    let x = b.batch_norm("sep.bn", x).unwrap();
    let x = b.activation("sep.act", x, Activation::Relu).unwrap();
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.linear("classifier", x, classes).unwrap();
    b.finish(&[x]).unwrap()
}

fn model(graph: Graph, seed: u64) -> Model {
    let classes = (0..graph.output_shape().unwrap().elements()).map(|at| format!("{seed}-{at}")).collect();
    let weights = Weights::init(&graph, seed).unwrap();
    Model::new(graph, weights, Meta { classes, ..Meta::default() }).unwrap()
}

/// A network for `bundle` under `protocol`, as training would leave it.
fn further(bundle: &Bundle, protocol: Protocol, graph: Graph, seed: u64) -> Model {
    let mut model = model(graph, seed);
    bundle.lend(protocol, &model.graph, &mut model.weights).unwrap();
    model
}

fn bundle() -> Bundle {
    let measured = Some(Measured { set: "test".into(), images: Some(9), top1: 0.5 });
    let record = Record { recipe: Some("epochs = 1\n".into()), seconds: Some(0.25), measured };
    let mut bundle = Bundle::new("first", model(graph(3), 1), record).unwrap();
    for (name, protocol, seed) in
        [("pw", Protocol::SharePointwise, 2), ("dw", Protocol::ShareDepthwise, 3), ("head", Protocol::Features, 4)]
    {
        let model = further(&bundle, protocol, graph(2), seed);
        bundle.add(name, protocol, model, Record::default()).unwrap();
    }
    let soft = sepal_zoo::soften(&graph(2), &["first", "pw"]).unwrap();
    let soft = further(&bundle, Protocol::Soft, soft, 5);
    bundle.add("soft", Protocol::Soft, soft, Record::default()).unwrap();
    bundle
}

#[test]
fn what_is_shared_is_stored_once_and_every_model_comes_back() {
    let whole = bundle();
    let bytes = whole.to_bytes().unwrap();
    let read = Bundle::from_bytes(&bytes, "the bundle").unwrap();
    assert_eq!((&read, read.to_bytes().unwrap()), (&whole, bytes));
    let own = |name: &str| read.domain(name).unwrap().own.iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
    assert_eq!(own("head"), ["classifier.bias", "classifier.weight"]);
    assert!(!own("pw").contains(&"sep.pointwise.weight".into()) && own("pw").contains(&"sep.depthwise.weight".into()));
    assert!(own("dw").contains(&"sep.pointwise.weight".into()) && !own("dw").contains(&"sep.depthwise.weight".into()));
    let soft = &read.domain("soft").unwrap().borrowed;
    let source = &soft["sep.depthwise.pw.weight"];
    assert_eq!((source.domain.as_str(), source.path.as_str()), ("pw", "sep.depthwise.weight"));
    assert_eq!(soft["sep.pointwise.weight"].domain, "first");
    let common = |names: &[&str]| read.common(names).unwrap().into_iter().collect::<Vec<_>>();
    assert_eq!(common(&["first", "pw", "head", "soft"]), ["sep.pointwise.weight"]);
    assert_eq!((common(&["pw", "dw"]), common(&["dw", "head"])), (vec![], vec!["sep.depthwise.weight".to_owned()]));
    assert_eq!(common(&["first"]).len(), read.trunk().own.len());
    for domain in read.domains() {
        read.model(&domain.name).unwrap().check().unwrap();
    }
    let (soft, pw) = (read.model("soft").unwrap(), read.model("pw").unwrap());
    let kernel = |model: &Model, path: &str| model.weights.get(path).unwrap().clone();
    assert_eq!(kernel(&soft, "sep.depthwise.pw.weight"), kernel(&pw, "sep.depthwise.weight"));
    assert_eq!(kernel(&soft, "sep.pointwise.weight"), kernel(&read.model("first").unwrap(), "sep.pointwise.weight"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut whole = bundle();
    let before = whole.clone();
    let added = |bundle: &mut Bundle, name: &str, model: Model| {
        bundle.add(name, Protocol::SharePointwise, model, Record::default()).unwrap_err()
    };
    let fits = further(&whole, Protocol::SharePointwise, graph(2), 6);
    assert!(matches!(added(&mut whole, "pw", fits.clone()), FormatError::DomainTaken { .. }));
    for name in ["", "a/b", "../x", "ä", "-x", &"x".repeat(65)] {
        assert!(matches!(added(&mut whole, name, fits.clone()), FormatError::DomainName { .. }), "{name}");
    }
    let text = added(&mut whole, "other", model(graph(2), 7)).to_string();
    assert!(text.contains("sep.pointwise.weight") && text.contains("`first`"), "{text}");
    for (name, words) in
        [("pw", &["borrowed by soft"][..]), ("first", &["pw, dw, head, soft"]), ("none", &["first, pw"])]
    {
        let text = whole.remove(name).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    assert_eq!(whole, before);
    for name in ["soft", "pw", "dw", "head"] {
        whole.remove(name).unwrap();
    }
    assert!(matches!(whole.remove("first"), Err(FormatError::TrunkDomain { .. })));
    assert_eq!(whole.model("first").unwrap(), before.model("first").unwrap());
}

#[test]
fn domains_that_contradict_one_another_are_errors() {
    let Contents { metadata, tensors } = tensors::from_bytes(&bundle().to_bytes().unwrap(), "b").unwrap();
    let text = &metadata["sepal.domains"];
    let read = |text: &str, names: &dyn Fn(&str) -> Option<String>| {
        let mut metadata: BTreeMap<String, String> = metadata.clone();
        metadata.insert("sepal.domains".into(), text.into());
        let named: Vec<_> = tensors.iter().filter_map(|(name, tensor)| Some((names(name)?, tensor))).collect();
        let list: Vec<_> =
            named.iter().map(|(name, tensor)| (&name[..], &tensor.shape[..], &tensor.data[..])).collect();
        let mut bytes = Vec::new();
        tensors::to_writer(&mut bytes, &list, &metadata).unwrap();
        Bundle::from_bytes(&bytes, "b").map(drop)
    };
    let same = |name: &str| Some(name.to_owned());
    read(text, &same).unwrap();
    let pw = r#""sep.pointwise.weight":{"domain":"first","path":"sep.pointwise.weight"}"#;
    assert!(text.contains(pw));
    for (from, to, words) in [
        (r#""domain":"pw""#, r#""domain":"gone""#, "`gone`, which is no domain before it"),
        (r#""domain":"first""#, r#""domain":"soft""#, "`soft`, which is no domain before it"),
        (r#""name":"head""#, r#""name":"pw""#, "two domains are called `pw`"),
        (r#""name":"pw""#, r#""name":"a b""#, "cannot be the name"),
        (r#""path":"sep.depthwise.weight""#, r#""path":"stem.conv.weight""#, "[4, 3, 3, 3]"),
        (r#""path":"sep.pointwise.weight""#, r#""path":"none""#, "no such tensor of its own"),
        (r#""share-pointwise""#, r#""scratch""#, "which `scratch` does not share"),
        (r#""share-pointwise""#, r#""share-everything""#, "share-everything"),
        (pw, r#""x":{"domain":"first","path":"sep.bn.weight"}"#, "does not say whose tensor"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = read(&text.replace(from, to), &same).unwrap_err().to_string();
        let moved = error.contains(words) || (to.contains("name") && error.contains("is of no domain"));
        assert!(moved && error.starts_with("b"), "{to}: {error}");
    }
    let foreign = read(text, &|name| Some(name.replace("dw/", "foreign/"))).unwrap_err().to_string();
    assert!(foreign.contains("foreign/") && foreign.contains("is of no domain"), "{foreign}");
    let lost = read(text, &|name| (name != "first/sep.pointwise.weight").then(|| name.to_owned())).unwrap_err();
    assert!(lost.to_string().contains("sep.pointwise.weight"), "{lost}");
    assert!(read("[]", &|_| None).unwrap_err().to_string().contains("no domain"));

    let dir = tempfile::tempdir().unwrap();
    let (plain, whole) = (dir.path().join("plain.safetensors"), dir.path().join("whole.safetensors"));
    native::write(&model(graph(2), 1), &plain).unwrap();
    assert!(matches!(Bundle::read(&plain), Err(FormatError::NotABundle { .. })));
    bundle().write(&whole).unwrap();
    let text = open(&whole).unwrap_err().to_string();
    assert!(text.contains("first, pw, dw, head, soft"), "{text}");
}

#[test]
fn writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.safetensors");
    bundle().write(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for at in 0..5 {
                    let name = format!("w{writer}-{at}");
                    Bundle::update(path, |bundle| {
                        let model = further(bundle, Protocol::SharePointwise, graph(2), writer);
                        bundle.add(&name, Protocol::SharePointwise, model, Record::default())
                    })
                    .unwrap();
                }
            });
        }
    });
    let whole = Bundle::read(&path).unwrap();
    assert_eq!(whole.domains().len(), 5 + 20);
    let refused = Bundle::update(&path, |bundle| bundle.remove("first")).unwrap_err();
    assert!(matches!(refused, FormatError::DomainNeeded { .. }));
    assert_eq!(Bundle::read(&path).unwrap(), whole);
}
