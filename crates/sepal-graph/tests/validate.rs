//! Graphs from files: what is refused, and how it is said.

use proptest::prelude::*;
use sepal_graph::{Activation, AvgPool, Builder, Conv2d, Error, Graph, Linear, MaxPool, Node, NodeId, Shape};
use serde_json::{Value, json};

fn sample() -> Graph {
    let mut b = Builder::new("sample");
    let x = b.input("input", Shape::chw(3, 16, 16).unwrap()).unwrap();
    let stem = Conv2d::standard(8, 3).stride(2).same().bias(true);
    let x = b.conv("stem", x, stem).unwrap();
    let y = b.scope("block1", |b| {
        let y = b.conv("depthwise", x, Conv2d::depthwise(8, 3).same())?;
        let y = b.batch_norm("bn", y)?;
        let y = b.activation("act", y, Activation::Elu { alpha: 0.3 })?;
        b.add("add", y, x)
    });
    let x = y.unwrap();
    let x = b.node("max", MaxPool::new(3, 2).padding(1), &[x]).unwrap();
    let x = b.node("avg", AvgPool::new(2, 2), &[x]).unwrap();
    let x = b.global_avg_pool("pool", x).unwrap();
    let x = b.dropout("drop", x, 0.1).unwrap();
    let x = b.linear("classifier", x, 10).unwrap();
    b.finish(&[x]).unwrap()
}

fn read(value: Value) -> Result<Graph, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The sample with one place changed by a JSON pointer.
fn changed(pointer: &str, value: Value) -> Result<Graph, String> {
    let mut json = serde_json::to_value(sample()).unwrap();
    *json.pointer_mut(pointer).expect("a place to change") = value;
    read(json)
}

#[test]
fn json_round_trips_and_is_readable() {
    let graph = sample();
    let text = serde_json::to_string(&graph).unwrap();
    assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph);
    assert_eq!(
        serde_json::to_value(&graph.nodes[2]).unwrap(),
        json!({
            "path": "block1.depthwise",
            "op": {"conv2d": {
                "out_channels": 8, "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1, 1, 1],
                "dilation": [1, 1], "groups": 8, "bias": false,
            }},
            "inputs": [1],
        })
    );
    let relu = sepal_graph::Op::from(Activation::Relu);
    assert_eq!(serde_json::to_value(relu).unwrap(), json!({"activation": "relu"}));
}

#[test]
fn refuses_with_the_node_and_the_reason() {
    let huge = json!(1_u64 << 40);
    let cases = [
        ("/nodes/2/inputs", json!([5]), ["block1.depthwise", "earlier node"]),
        ("/nodes/2/inputs", json!([2]), ["block1.depthwise", "earlier node"]),
        ("/nodes/2/inputs", json!([u64::MAX]), ["block1.depthwise", "earlier node"]),
        ("/nodes/2/inputs", json!([]), ["block1.depthwise", "takes 1 input(s), got 0"]),
        ("/nodes/5/inputs", json!([4]), ["block1.add", "takes 2 input(s), got 1"]),
        ("/nodes/5/inputs", json!([4, 0]), ["block1.add", "one shape"]),
        ("/nodes/3/path", json!("stem"), ["node `stem`", "already has this path"]),
        ("/nodes/3/path", json!(""), ["not a path", ""]),
        ("/nodes/3/path", json!("a\u{0}b"), ["not a path", "\\0"]),
        ("/nodes/3/path", json!("x".repeat(600)), ["not a path", ""]),
        ("/nodes/0/op/input/shape", json!([3, 1 << 20, 1 << 20]), ["elements", "1048576"]),
        ("/nodes/0/op/input/shape", json!([3, 0, 4]), ["dimension 0", ""]),
        ("/nodes/0/op/input/shape", json!([]), ["1 to 6 dimensions", ""]),
        ("/nodes/0/op/input/shape", json!([5]), ["node `stem`", "feature map"]),
        ("/nodes/1/op/conv2d/out_channels", huge.clone(), ["node `stem`", "out_channels"]),
        ("/nodes/1/op/conv2d/out_channels", json!(0), ["node `stem`", "out_channels is 0"]),
        ("/nodes/1/op/conv2d/kernel", json!([0, 3]), ["node `stem`", "kernel is 0"]),
        ("/nodes/1/op/conv2d/kernel", json!([99, 3]), ["node `stem`", "99×3 kernel"]),
        ("/nodes/1/op/conv2d/stride", json!([0, 1]), ["node `stem`", "stride is 0"]),
        ("/nodes/1/op/conv2d/dilation", json!([1, 0]), ["node `stem`", "dilation is 0"]),
        ("/nodes/1/op/conv2d/padding/2", huge.clone(), ["node `stem`", "padding is"]),
        ("/nodes/1/op/conv2d/groups", json!(0), ["node `stem`", "groups is 0"]),
        ("/nodes/1/op/conv2d/groups", json!(2), ["node `stem`", "divisor"]),
        ("/nodes/3/op/batch_norm/eps", json!(0.0), ["block1.bn", "eps is 0"]),
        ("/nodes/3/op/batch_norm/momentum", json!(1.5), ["block1.bn", "momentum is 1.5"]),
        ("/nodes/4/op/activation/elu/alpha", json!(1e300), ["block1.act", "alpha is inf"]),
        ("/nodes/6/op/max_pool/padding", json!([3, 0, 0, 0]), ["max", "smaller than the kernel"]),
        ("/nodes/7/op/avg_pool/kernel", json!([9, 9]), ["avg", "9×9 kernel"]),
        ("/nodes/9/op/dropout/p", json!(1.0), ["drop", "p is 1"]),
        ("/nodes/10/op/linear/out_features", huge, ["classifier", "out_features"]),
        ("/outputs", json!([77]), ["output 77 does not exist", ""]),
        ("/outputs", json!([]), ["no output", ""]),
        ("/inputs", json!([]), ["node `input`", "do not list"]),
        ("/inputs", json!([0, 0]), ["listed twice", ""]),
        ("/inputs", json!([0, 1]), ["node `stem`", "no input node"]),
        ("/nodes/1/op", json!({"conv3d": {}}), ["conv3d", "unknown variant"]),
    ];
    for (pointer, value, parts) in cases {
        let error = changed(pointer, value.clone()).expect_err(pointer);
        for part in parts {
            assert!(error.contains(part), "{pointer} = {value}: {error}");
        }
    }
}

#[test]
fn refuses_unknown_attributes_everywhere() {
    let places = [
        "",
        "/nodes/0",
        "/nodes/0/op/input",
        "/nodes/1/op/conv2d",
        "/nodes/3/op/batch_norm",
        "/nodes/4/op/activation/elu",
        "/nodes/5/op/add",
        "/nodes/6/op/max_pool",
        "/nodes/7/op/avg_pool",
        "/nodes/8/op/global_avg_pool",
        "/nodes/9/op/dropout",
        "/nodes/10/op/linear",
    ];
    for place in places {
        let mut json = serde_json::to_value(sample()).unwrap();
        let object = json.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.insert("surprise".into(), json!(1));
        let error = read(json).expect_err(place);
        assert!(error.contains("surprise"), "{place}: {error}");
    }
}

#[test]
fn refuses_counts_that_no_machine_could_hold() {
    // Each tensor alone is legal; together they are not.
    let mut nodes = vec![json!({"path": "in", "op": {"input": {"shape": [1 << 15]}}, "inputs": []})];
    for i in 0..20 {
        let op = json!({"linear": {"out_features": 1 << 15, "bias": false}});
        nodes.push(json!({"path": format!("fc{i}"), "op": op, "inputs": [i]}));
    }
    let graph = |nodes: &[Value], last: usize| json!({"name": "big", "nodes": nodes, "inputs": [0], "outputs": [last]});
    let error = read(graph(&nodes, 20)).unwrap_err();
    assert!(error.contains("parameters"), "{error}");
    let many: Vec<Value> =
        (0..70_000).map(|i| json!({"path": format!("n{i}"), "op": {"flatten": {}}, "inputs": [0]})).collect();
    let error = read(graph(&many, 0)).unwrap_err();
    assert!(error.contains("70000 nodes"), "{error}");
}

#[test]
fn another_input_size_is_inferred_or_refused_by_path() {
    let graph = sample();
    let wide = graph.with_input_shape(Shape::chw(3, 33, 65).unwrap());
    let shapes = wide.unwrap().shapes().unwrap();
    assert_eq!(shapes[1].to_string(), "8×17×33");
    let small = graph.with_input_shape(Shape::chw(3, 2, 2).unwrap());
    let error = small.unwrap_err();
    let Error::At { path, error } = &error else { panic!("{error}") };
    assert_eq!(path, "avg");
    assert!(matches!(**error, Error::KernelTooLarge { padded: [1, 1], .. }));
}

#[test]
fn builder_errors_carry_the_full_path() {
    let mut b = Builder::new("errors");
    let x = b.input("input", Shape::chw(3, 4, 4).unwrap()).unwrap();
    let error = b.scope("entry", |b| b.scope("block1", |b| b.conv("conv", x, Conv2d::standard(8, 7))));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("node `entry.block1.conv`"), "{error}");
    assert!(error.contains("7×7 kernel") && error.contains("4×4"), "{error}");
    let error = b.batch_norm("input", x).unwrap_err();
    assert_eq!(error, Error::DuplicatePath.at("input"));
    let error = b.node("fc", Linear::new(3), &[NodeId::new(9)]);
    let forward = Error::ForwardReference { input: 9, node: 1 };
    assert_eq!(error.unwrap_err(), forward.at("fc"));
    assert!(b.shape(NodeId::new(9)).is_err());
    // A failed call leaves no trace.
    assert_eq!(b.finish(&[x]).unwrap().nodes.len(), 1);
}

#[test]
fn activations_parse_from_their_names() {
    for name in Activation::NAMES {
        let act: Activation = name.parse().unwrap();
        assert_eq!(act.to_string(), name);
    }
    let elu: Activation = "elu(0.5)".parse().unwrap();
    assert_eq!(elu, Activation::Elu { alpha: 0.5 });
    assert_eq!(elu.to_string(), "elu(0.5)");
    for bad in ["", "RELU", "elu(", "elu(x)", "elu(nan)", "swish"] {
        assert!(bad.parse::<Activation>().is_err(), "{bad}");
    }
}

#[test]
fn consumers_are_the_readers() {
    let graph = sample();
    let consumers = graph.consumers();
    assert_eq!(consumers[1], [NodeId::new(2), NodeId::new(5)]);
    assert!(consumers[10].is_empty());
    // The output counts as a reader.
    assert_eq!(graph.reads(), [1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(graph.find("block1.bn").unwrap().0, NodeId::new(3));
}

/// Any number, with a taste for the ones that overflow.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..40_u64).prop_map(Value::from),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(1_u64 << 24)),
        Just(json!(1_u64 << 12)),
        Just(json!((1_u64 << 31) + 1)),
        Just(json!(1e308)),
        Just(json!("x")),
        Just(json!([])),
        Just(Value::Null),
    ]
}

/// All places of a JSON value that hold a number.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                places(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{i}"), found);
            }
        }
        Value::Number(_) => found.push(at.to_owned()),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn hostile_numbers_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), number()), 1..4),
    ) {
        let mut json = serde_json::to_value(sample()).unwrap();
        let mut found = Vec::new();
        places(&json, "", &mut found);
        for (index, value) in changes {
            if let Some(place) = json.pointer_mut(&found[index.index(found.len())]) {
                *place = value;
            }
        }
        if let Ok(graph) = serde_json::from_value::<Graph>(json) {
            prop_assert!(graph.validate().is_ok());
            let again = serde_json::to_string(&graph).unwrap();
            prop_assert_eq!(serde_json::from_str::<Graph>(&again).unwrap(), graph);
        }
    }

    #[test]
    fn graphs_changed_through_their_fields_never_panic(
        node in 0..11_usize, inputs in prop::collection::vec(0..20_usize, 0..4),
    ) {
        let mut graph = sample();
        let Node { inputs: old, .. } = &mut graph.nodes[node];
        *old = inputs.into_iter().map(NodeId::new).collect();
        let _ = (graph.validate(), graph.params(), graph.cost(), graph.consumers(), graph.reads());
        let _ = (graph.output_shape(), graph.with_input_shape(Shape::chw(3, 8, 8).unwrap()));
    }
}
