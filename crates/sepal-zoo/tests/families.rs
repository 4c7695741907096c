//! What is particular to families of networks.

use sepal_graph::{Graph, Op};
use sepal_zoo::{Kind, Spec, build, networks};

fn spec(text: &str) -> Spec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn graph(text: &str, size: [usize; 2], classes: usize) -> Graph {
    build(&spec(text), Some(size), classes).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Networks of inverted residual blocks, whose depthwise convolutions are what `block` stands for.
const INVERTED: [&str; 5] =
    ["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v4_conv_small", "efficientnet_lite0"];

#[test]
fn every_network_can_be_built_of_every_block() {
    // DeepLab's encoders are those of the papers.
    for network in networks().iter().filter(|network| network.name != "deeplab") {
        let block = network.options.iter().find(|option| option.name == "block");
        assert_eq!(block.map(|option| option.kind), Some(Kind::Block), "{}", network.name);
    }
    let cost = |text: String| graph(&text, [64, 64], 10).cost().unwrap();
    for network in INVERTED {
        // Convolutions that keep the number of channels, in blocks or before their expansion: of a network with
        // another block there is one more for each, whose kernels see every channel.
        let plain = graph(network, [64, 64], 10);
        let shapes = plain.shapes().unwrap();
        let mut more = 0;
        for node in &plain.nodes {
            if let Op::Conv2d(conv) = &node.op
                && conv.groups > 1
            {
                let channels = shapes[node.inputs[0].index()].channels() as u64;
                more += conv.kernel.map(|k| k as u64).iter().product::<u64>() * channels * (channels - 1);
            }
        }
        let base = cost(network.to_owned()).params;
        assert_eq!(cost(format!("{network}:block=standard")).params, base + more, "{network}");
        assert_eq!(cost(format!("{network}:block=grouped,groups=1")).params, base + more, "{network}");
        assert!(cost(format!("{network}:block=pyramid_add")).params > base, "{network}");
    }
}

#[test]
fn what_stands_in_pydmobilenets_place_is_the_papers_rivals() {
    let kinds = |text: &str| {
        let graph = graph(text, [32, 32], 10);
        let depthwise = graph.nodes.iter().filter(|n| matches!(&n.op, Op::Conv2d(conv) if conv.groups > 1)).count();
        (depthwise, graph.cost().unwrap().params)
    };
    let (pyramid, params) = kinds("pydmobilenet");
    let (single, fewer) = kinds("pydmobilenet:block=dsc");
    assert_eq!((pyramid, single), (27, 9), "MobileNet-29");
    // The kernels of 5×5 and 7×7, at 32, 64 and 128 channels in three blocks each.
    assert_eq!(params - fewer, (25 + 49) * 3 * (32 + 64 + 128));
    assert_eq!(kinds("pydmobilenet:block=standard").0, 0, "ResNet-29");
    let concat = kinds("pydmobilenet:merge=concat");
    assert_eq!(concat, kinds("pydmobilenet:block=pyramid_concat"));
    assert_eq!(concat, kinds("pydmobilenet:merge=concat,block=pyramid_concat"));
    let error = build(&spec("pydmobilenet:merge=concat,block=dsc"), None, 10).unwrap_err().to_string();
    assert!(error.contains("merge=concat is not possible; merge is add with block=dsc"), "{error}");
}

#[test]
fn resdsc_costs_what_its_layers_add_up_to() {
    // A separable convolution M → N has 9·M + M·N weights; 25 of them in all, each with a norm.
    let dsc = |m: u64, n: u64| 9 * m + m * n;
    let (mut params, mut macs) = (dsc(3, 64) + 2 * 64, 72 * 72 * dsc(3, 64));
    for (m, n, d) in [(64, 128, 36), (128, 256, 18), (256, 512, 9)] {
        let stage = dsc(m, n) + 7 * dsc(n, n);
        params += stage + 8 * 2 * n;
        macs += d * d * stage;
    }
    params += 2 * 512 + 512 * 1000 + 1000;
    macs += 512 * 1000;
    let cost = graph("resdsc26", [72, 72], 1000).cost().unwrap();
    assert_eq!((cost.params, cost.macs), (params, macs));
}

#[test]
fn segmenters_have_a_place_for_every_pixel() {
    for size in [[64, 64], [65, 71], [1, 1], [8, 3]] {
        let graph = graph("espnet:q=1", size, 3);
        assert_eq!(graph.output_shape().unwrap().dims(), [3, size[0], size[1]]);
    }
    // Without fusion, and with fewer than five classes, there are no sums in the modules.
    let adds = |text: &str| {
        let graph = graph(text, [32, 32], 20);
        graph.nodes.iter().filter(|node| matches!(node.op, Op::Add(_))).count()
    };
    assert_eq!(adds("espnet_c:p=1,q=2"), 5 * 3 + 3);
    assert_eq!(adds("espnet_c:p=1,q=2,hff=no"), 3);
    let groups = build(&spec("espnet:block=grouped,groups=8"), None, 20).unwrap_err().to_string();
    assert!(groups.contains("node `level2.down.conv`") && groups.contains("divisor"), "{groups}");
}
