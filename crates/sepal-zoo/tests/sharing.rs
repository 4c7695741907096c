//! Who owns which parameter, in the networks of the registry.

use sepal_graph::sharing::{gated, gates_of};
use sepal_graph::{Error, Graph, Op, Protocol, Role, Sharing};
use sepal_zoo::soften;

fn graph(spec: &str) -> Graph {
    let spec: sepal_zoo::Spec = spec.parse().unwrap();
    sepal_zoo::build(&spec, None, 10).unwrap()
}

fn paths(specs: &[sepal_graph::ParamSpec], role: Role) -> Vec<&str> {
    specs.iter().filter(|spec| spec.role == role).map(|spec| spec.path.as_str()).collect()
}

#[test]
fn resdsc_by_protocol() {
    let graph = graph("resdsc26");
    let total = graph.cost().unwrap().params;
    let of = |role: Role| {
        let specs = graph.params().unwrap();
        specs.iter().filter(|spec| spec.role == role).map(|spec| spec.elements() as u64).sum::<u64>()
    };
    let classifier = 512 * 10 + 10;
    let (pointwise, depthwise) = (of(Role::PointwiseWeight), of(Role::DepthwiseWeight));
    // 25 separable layers: 3 → 64 → 4 × 128 twice → 4 × 256 twice → 4 × 512 twice.
    assert_eq!(depthwise, 9 * (3 + 64 + 7 * 128 + 128 + 7 * 256 + 256 + 7 * 512));
    for (protocol, shared) in [
        (Protocol::Scratch, 0),
        (Protocol::Finetune, 0),
        (Protocol::Features, total - classifier),
        (Protocol::SharePointwise, pointwise),
        (Protocol::ShareDepthwise, depthwise),
    ] {
        let sharing = Sharing::new(protocol, &graph).unwrap();
        assert_eq!((sharing.shared_params(), sharing.private_params()), (shared, total - shared), "{protocol}");
        let stats = paths(&sharing.shared, Role::NormMean).len();
        assert_eq!(stats, if protocol == Protocol::Features { 26 } else { 0 }, "{protocol}");
    }
    assert!(matches!(Sharing::new(Protocol::Soft, &graph), Err(Error::NotSoft { .. })));
}

#[test]
fn every_separable_network_shares_its_pointwise_weights() {
    for (spec, stem) in [
        ("resdsc26", 0),
        ("xception", 2),
        ("mobilenet_v1", 1),
        ("mobilenet_v1:block=bsconv_u", 1),
        ("mobilenet_v2", 1),
        ("mobilenet_v3_large", 1),
        ("pydmobilenet", 1),
        ("mobilenet_v4_conv_small", 3),
        ("xception41", 2),
        ("resnet20:block=dsc", 0),
        ("resnet20:block=bsconv_s", 0),
        ("efficientnet_lite0", 1),
    ] {
        let graph = graph(spec);
        let total = graph.cost().unwrap().params;
        for protocol in [Protocol::SharePointwise, Protocol::ShareDepthwise] {
            let sharing = Sharing::new(protocol, &graph).unwrap_or_else(|error| panic!("{spec}: {error}"));
            assert_eq!(sharing.shared_params() + sharing.private_params(), total, "{spec}");
            assert_eq!(paths(&sharing.private, Role::ConvWeight).len(), stem, "{spec}");
            let (shared, private) = match protocol {
                Protocol::SharePointwise => (Role::PointwiseWeight, Role::DepthwiseWeight),
                _ => (Role::DepthwiseWeight, Role::PointwiseWeight),
            };
            assert!(paths(&sharing.private, shared).is_empty() && paths(&sharing.shared, private).is_empty(), "{spec}");
            let classifier = graph.node(graph.classifier().unwrap()).unwrap();
            let weight = format!("{}.weight", classifier.path);
            assert!(sharing.private.iter().any(|spec| spec.path == weight), "{spec}");
        }
    }
}

#[test]
fn others_are_refused_by_their_layers() {
    for (spec, layer) in
        [("resnet20", "`stem.conv` (3×3)"), ("resnext50_32x4d", ", 32 groups)"), ("densenet121", "(7×7)")]
    {
        let text = Sharing::new(Protocol::SharePointwise, &graph(spec)).unwrap_err().to_string();
        for word in ["share-pointwise", "block=dsc", layer] {
            assert!(text.contains(word), "no {word} in: {text}");
        }
        Sharing::new(Protocol::Features, &graph(spec)).unwrap();
    }
}

#[test]
fn other_classes_change_the_classifier_alone() {
    for spec in ["resdsc26", "mobilenet_v3_small", "densenet121"] {
        let (ten, three) = (graph(spec), graph(spec).with_classes(3).unwrap());
        assert_eq!(three.output_shape().unwrap().elements(), 3, "{spec}");
        let differ: Vec<_> =
            ten.nodes.iter().zip(&three.nodes).filter(|(a, b)| a != b).map(|(a, _)| a.path.as_str()).collect();
        assert_eq!(differ, ["classifier"], "{spec}");
    }
}

#[test]
fn soft_sharing_in_any_separable_network() {
    for spec in ["resdsc26:width=0.25", "pydmobilenet", "mobilenet_v1:width=0.25"] {
        let plain = graph(spec);
        let soft = soften(&plain, &["one", "two", "three"]).unwrap();
        let depthwise: Vec<_> =
            paths(&plain.params().unwrap(), Role::DepthwiseWeight).iter().map(|p| (*p).to_owned()).collect();
        let layers = gated(&soft);
        let named: Vec<_> = layers.iter().map(|layer| format!("{}.weight", layer.layer)).collect();
        assert_eq!(named, depthwise, "{spec}");
        let domains: Vec<&str> = layers[0].kernels.iter().map(|(domain, _)| domain.as_str()).collect();
        assert_eq!(domains, ["one", "two", "three"]);
        assert_eq!(soft.output_shape().unwrap(), plain.output_shape().unwrap());

        let sharing = Sharing::new(Protocol::Soft, &soft).unwrap();
        assert_eq!(paths(&sharing.shared, Role::DepthwiseWeight).len(), 3 * depthwise.len(), "{spec}");
        assert!(paths(&sharing.shared, Role::LinearWeight).is_empty(), "gates and classifier are private");
        // Two linear layers a gate.
        assert_eq!(paths(&sharing.private, Role::LinearWeight).len(), 2 * layers.len() + 1, "{spec}");
        // The others stay where they were.
        let kept = plain.nodes.iter().filter(|node| !named.contains(&format!("{}.weight", node.path)));
        assert!(kept.clone().all(|node| soft.find(&node.path).is_some_and(|(_, new)| new.op == node.op)), "{spec}");
        let gates = gates_of(&soft, &layers).unwrap();
        assert_eq!(gates.output_shape().unwrap().elements(), 3 * layers.len());
        assert!(soft.nodes.iter().any(|node| matches!(node.op, Op::GatedSum(_))));
    }
}
