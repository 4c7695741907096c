//! Contradictory and hostile files: errors that say where.

use prost::encoding::encode_varint;
use sepal_formats::onnx;
use sepal_formats::{FormatError, MissingOperator};

/// A message field of bytes.
fn field(tag: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(tag << 3 | 2, &mut out);
    encode_varint(content.len() as u64, &mut out);
    [&out, content].concat()
}

fn number(tag: u64, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(tag << 3, &mut out);
    encode_varint(value as u64, &mut out);
    out
}

/// A node from its operator and the names of its inputs and outputs.
fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let names = |tag, names: &[&str]| names.iter().flat_map(|n| field(tag, n.as_bytes())).collect::<Vec<u8>>();
    let content = [
        names(1, inputs),
        names(2, outputs),
        field(3, format!("n_{}", outputs[0]).as_bytes()),
        field(4, op.as_bytes()),
    ];
    field(1, &content.concat())
}

fn value(tag: u64, name: &str) -> Vec<u8> {
    let dims: Vec<u8> = [1, 3, 8, 8].iter().flat_map(|n| field(1, &number(1, *n))).collect();
    let tensor = [number(1, 1), field(2, &dims)].concat();
    field(tag, &[field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}

/// A tensor of so many f32 whose values are in another file.
fn external(name: &str, location: &str, offset: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let dims: Vec<u8> = [2, 3, 1, 1].iter().flat_map(|n| number(1, *n)).collect();
    let parts = [dims, number(2, 1), field(8, name.as_bytes()), entry("location", location), entry("offset", offset)];
    field(5, &[parts.concat(), entry("length", "24"), number(14, 1)].concat())
}

/// A file of these parts of a graph.
fn file(parts: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 8), field(8, &number(2, 17)), field(7, &parts.concat())].concat()
}

fn interface() -> [Vec<u8>; 2] {
    [value(11, "x"), value(12, "y")]
}

#[test]
fn contradictory_graphs_say_where() {
    let [x, y] = interface();
    let relu = |a: &str, b: &str| node("Relu", &[a], &[b]);
    for (parts, words) in [
        (vec![x.clone(), y.clone(), relu("y", "a"), relu("a", "y")], "node `n_a`: depends on its own output"),
        (
            vec![x.clone(), y.clone(), relu("x", "y"), relu("x", "y")],
            "node `n_y`: makes the value `y`, which something",
        ),
        (vec![x.clone(), y.clone(), relu("q", "y")], "node `n_y`: reads the value `q`, which nothing makes"),
        (vec![x.clone(), y.clone(), relu("x", "z")], "output `y`: is made by no node"),
        (vec![x.clone(), x.clone(), y.clone(), relu("x", "y")], "input `x`: is listed twice"),
        (vec![x.clone(), y.clone(), value(12, "z"), relu("x", "y")], "has 2 outputs (y, z); one is read"),
        (vec![x.clone(), y.clone(), node("Conv", &["x", "x"], &["y"])], "Conv with a computed weight"),
        (vec![x.clone(), y.clone(), node("Flatten", &["x"], &["a"]), node("Gemm", &["a"], &["y"])], "has no weight"),
        (vec![], "has 0 outputs"),
    ] {
        let error = onnx::from_bytes(file(&parts), "m.onnx").unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("m.onnx: "), "{error}");
    }
    // Nodes that are not sorted are.
    let parts = [x, y, relu("b", "y"), relu("a", "b"), relu("x", "a")];
    assert_eq!(onnx::from_bytes(file(&parts), "m").unwrap().graph.nodes.len(), 4);
}

#[test]
fn all_missing_operators_are_named_at_once() {
    let [x, y] = interface();
    let parts = [
        x.clone(),
        y.clone(),
        node("LRN", &["x"], &["a"]),
        node("QLinearConv", &["a"], &["b"]),
        node("LRN", &["b"], &["y"]),
    ];
    let error = onnx::from_bytes(file(&parts), "m").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("LRN (opset 17) at `n_a`, `n_y`") && text.contains("QLinearConv (opset 17) at `n_b`"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("quantised"));
    // Parts of patterns that do not come to anything, and what depends on them.
    let parts = [
        x,
        y,
        node("Erf", &["x"], &["a"]),
        node("Softplus", &["a"], &["b"]),
        node("Sqrt", &["x"], &["c"]),
        node("Add", &["b", "c"], &["y"]),
    ];
    match onnx::from_bytes(file(&parts), "m").unwrap_err() {
        FormatError::OnnxOperators { missing, .. } => {
            let names: Vec<&MissingOperator> = missing.iter().collect();
            assert_eq!(names.iter().map(|m| m.operator.as_str()).collect::<Vec<_>>(), ["Erf", "Sqrt"]);
        }
        error => panic!("{error}"),
    }
}

#[test]
fn tensors_outside_the_folder_are_not_read() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let values: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
    std::fs::write(folder.join("data/w.bin"), &values).unwrap();
    std::fs::write(outer.path().join("secret.bin"), &values).unwrap();
    let path = folder.join("m.onnx");
    let [x, y] = interface();
    let read = |location: &str, offset: &str| {
        let parts =
            [x.clone(), y.clone(), external("c.weight", location, offset), node("Conv", &["x", "c.weight"], &["y"])];
        std::fs::write(&path, file(&parts)).unwrap();
        onnx::read(&path)
    };
    let model = read("data/w.bin", "8").unwrap();
    assert_eq!(model.weights.get("c.weight").unwrap().data(), [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let absolute = outer.path().join("secret.bin").display().to_string();
    let mut outside = vec!["../secret.bin".to_owned(), absolute, "data/../../secret.bin".to_owned()];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret.bin", folder.join("link.bin")).unwrap();
        outside.push("link.bin".into());
    }
    for location in outside {
        let error = read(&location, "0").unwrap_err().to_string();
        assert!(error.contains("outside the model's folder") && error.contains("c.weight"), "{location}: {error}");
    }
    for (location, offset, words) in [
        ("data/w.bin", "16", "beyond the 32 bytes"),
        ("data/w.bin", "18446744073709551615", "beyond the 32 bytes"),
        ("data/w.bin", "-1", "is no number of bytes"),
        ("data", "0", "not a regular file"),
        ("absent.bin", "0", "cannot be read"),
    ] {
        let error = read(location, offset).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let error = onnx::from_bytes(std::fs::read(&path).unwrap(), "m").unwrap_err().to_string();
    assert!(error.contains("read from memory"), "{error}");
}
