//! Blocks in place of a built network's convolutions.

use sepal_graph::{Conv2d, Graph, Op};
use sepal_zoo::{Between, Block, Error, Style, Swapped, build, swap};

fn graph(spec: &str) -> Graph {
    build(&spec.parse().unwrap(), None, 10).unwrap()
}

fn block(name: &str) -> Block {
    Block::named(name, Style::default()).unwrap()
}

/// A network whose blocks are swapped is the network built with that block.
#[test]
fn swapping_every_convolution_is_building_with_the_block() {
    let cases = [
        ("resnet20", Swapped::Standard, "bsconv_u"),
        ("resnet20", Swapped::Standard, "dsc"),
        ("wrn16_1", Swapped::Standard, "pyramid_add"),
        ("mobilenet_v1:stem=cifar", Swapped::Separable, "bsconv_u"),
        ("mobilenet_v1:stem=cifar,between=none", Swapped::Separable, "bsconv_s"),
    ];
    for (spec, what, name) in cases {
        let before = graph(spec);
        // Where the stem is not built with the block, it is not swapped either.
        let built = graph(&format!("{}{}block={name}", spec, if spec.contains(':') { "," } else { ":" }));
        let stem = built.find("stem.conv").is_some();
        let globs: &[&str] = if stem { &["stage*", "block*"] } else { &["*"] };
        let after = swap(&before, what, globs, &block(name)).unwrap();
        assert_eq!(after.nodes, built.nodes, "{spec} with {name}");
        assert_eq!(after.output_shape(), before.output_shape());
    }
}

#[test]
fn globs_select_places_and_other_paths_stay() {
    let before = graph("resnet20");
    let after = swap(&before, Swapped::Standard, &["stage2.*"], &block("bsconv_u")).unwrap();
    let blueprint = |node: &&sepal_graph::Node| matches!(&node.op, Op::Conv2d(conv) if conv.groups > 1);
    let swapped: Vec<_> = after.nodes.iter().filter(blueprint).collect();
    assert_eq!(swapped.len(), 6);
    assert!(swapped.iter().all(|node| node.path.starts_with("stage2.")));
    for node in before.nodes.iter().filter(|node| !node.path.starts_with("stage2.")) {
        assert_eq!(after.find(&node.path).unwrap().1.op, node.op, "{}", node.path);
    }
    let (before, after) = (before.shapes().unwrap(), after.shapes().unwrap());
    assert!(before.iter().all(|shape| after.contains(shape)));
}

#[test]
fn convolutions_that_a_block_cannot_replace_stay() {
    let mut b = sepal_graph::Builder::new("odd");
    let x = b.input("input", sepal_graph::Shape::chw(8, 12, 12).unwrap()).unwrap();
    let x = b.conv("unpadded", x, Conv2d::standard(8, 3)).unwrap();
    let x = b.conv("dilated", x, Conv2d::standard(8, 3).dilation(2).same()).unwrap();
    let x = b.conv("grouped", x, Conv2d::standard(8, 3).groups(2).same()).unwrap();
    let x = b.conv("one", x, Conv2d::pointwise(8)).unwrap();
    let plain = b.conv("plain", x, Conv2d::standard(8, 3).same()).unwrap();
    let before = b.finish(&[plain]).unwrap();
    let after = swap(&before, Swapped::Standard, &["*"], &block("dsc")).unwrap();
    let paths: Vec<_> = after.nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(paths, ["input", "unpadded", "dilated", "grouped", "one", "plain.depthwise", "plain.pointwise"]);
}

#[test]
fn what_selects_nothing_is_an_error() {
    let graph = graph("resnet20");
    for (what, glob) in [(Swapped::Separable, "*"), (Swapped::Standard, "nothing*"), (Swapped::Standard, "a[")] {
        let error = swap(&graph, what, &[glob], &block("dsc")).unwrap_err();
        assert!(matches!(&error, Error::Glob { glob: named, .. } if named == glob), "{error}");
    }
    let style = Style { between: Between::Bn, ..Style::default() };
    assert!(Block::named("depthwise", style).is_none(), "a block that keeps channels is no replacement");
}
