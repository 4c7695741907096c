//! Every block against its formula.

use proptest::prelude::*;
use sepal_graph::{Builder, Cost, Graph, Op, Shape};
use sepal_zoo::{Between, Block, BlockRow, Place, Style, blocks};

fn row(name: &str) -> &'static BlockRow {
    let found = blocks().iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no block {name}"))
}

fn cost(name: &str, [d, m, n, k]: [u64; 4], style: &Style) -> Cost {
    let input = Shape::chw(m as usize, d as usize, d as usize).unwrap();
    let place = Place::new(n as usize, k as usize);
    row(name).graph(input, place, style).unwrap().cost().unwrap()
}

proptest! {
    #[test]
    fn weights_and_macs_are_those_of_the_formulas(
        d in 1..30_u64, m in 1..10_u64, n in 1..10_u64, k in 1..6_u64, groups in 1..6_u64, eighths in 1..9_u64,
    ) {
        let (m, n) = (m * groups, n * groups);
        let (branches, domains) = (groups as usize, eighths as usize);
        let style = Style { groups: branches, p: eighths as f64 / 8.0, branches, domains, ..Style::default() };
        let mid = (m * eighths).div_ceil(8).max(4).min(m);
        // ESP: n channels after the reduction; fewer than five output channels have a branch each.
        let esp = n / n.min(5);
        let weights = [
            ("standard", k * k * m * n),
            ("grouped", k * k * m * n / groups),
            ("depthwise", k * k * m),
            ("pointwise", m * n),
            ("dsc", k * k * m + m * n),
            ("dsc_swapped", m + k * k * m * n),
            ("bsconv_u", m * n + k * k * n),
            ("bsconv_s", m * mid + mid * n + k * k * n),
            ("pyramid_add", (9 + 25 + 49) * m + m * n),
            ("pyramid_concat", (9 + 25 + 49) * m + 3 * m * n),
            ("inception_simple", m * n + k * k * n * n / groups),
            ("esp", esp * (m + k * k * n)),
        ];
        for (name, weights) in weights {
            let cost = cost(name, [d, m, n, k], &style);
            prop_assert_eq!(cost.params, weights, "{}", name);
            prop_assert_eq!(cost.macs, d * d * weights, "{}", name);
        }
        let shared = cost("soft_sharing", [d, m, n, k], &style);
        let (hidden, weights) = (m / 4 + 1, eighths * k * k * m + m * n);
        prop_assert_eq!(shared.params, weights + hidden * (m + 1) + eighths * (hidden + 1));
        prop_assert_eq!(shared.macs, d * d * weights + hidden * (m + eighths));
    }
}

proptest! {
    /// Blocks with norms and shortcuts of their own, whether the shape changes or not.
    #[test]
    fn larger_blocks_cost_what_their_formulas_say(
        d in 1..20_u64, m in 1..5_u64, n in 1..5_u64, k in 1..4_u64, groups in 1..5_u64,
    ) {
        let (m, n, k) = (4 * m * groups, 4 * n * groups, 2 * k - 1);
        let style = Style { groups: groups as usize, ..Style::default() };
        let shortcut = if m == n { 0 } else { m * n };
        let norm = if m == n { 0 } else { 2 * n };
        let two = k * k * (m * n + n * n) + shortcut;
        let quarter = (m * n + n * n) / 4 + k * k * n * n / 16 + shortcut;
        let half = (m * n + n * n) / 2 + k * k * n * n / (4 * groups) + shortcut;
        let inverted = 6 * m * (m + k * k + n);
        let rows = [
            ("residual", two, 4 * n + norm),
            ("pre_residual", two, 2 * m + 2 * n),
            ("bottleneck", quarter, 3 * n + norm),
            ("resnext", half, 4 * n + norm),
            ("inverted_residual", inverted, 24 * m + 2 * n),
            ("inception", m * n + 3 * k * k * n * n / 16, 7 * n / 2),
            ("dense_layer", 4 * m * n + 4 * k * k * n * n, 2 * m + 8 * n),
            ("pydmobile", n * (m + n + 83) + shortcut, 2 * m + 6 * n + norm),
            ("pydmobile_concat", n * (m + 3 * n + 83) + shortcut, 2 * m + 10 * n + norm),
        ];
        for (name, weights, norms) in rows {
            let cost = cost(name, [d, m, n, k], &style);
            prop_assert_eq!(cost.params, weights + norms, "{}", name);
            prop_assert_eq!(cost.macs, d * d * weights, "{}", name);
        }
        // A gate's convolutions see one pixel, whatever the map.
        let gate = cost("squeeze_excite", [d, m, n, k], &style);
        prop_assert_eq!((gate.params, gate.macs), (m * m / 2 + 5 * m / 4, m * m / 2));
        let gated = cost("inverted_residual_se", [d, m, n, k], &style);
        prop_assert_eq!(gated.params, inverted + 18 * m * m + 63 * m / 2 + 2 * n);
        prop_assert_eq!(gated.macs, d * d * inverted + 18 * m * m);
        // Zeros stand for what a shortcut lacks in channels; there are none for too many.
        let (m, n) = (m.min(n), m.max(n));
        let pooled = cost("pooled_residual", [d, m, n, k], &style);
        let weights = k * k * (m + n) + m * n + n * n;
        prop_assert_eq!((pooled.params, pooled.macs), (weights + 4 * n, d * d * weights));
    }
}

#[test]
fn a_strided_esp_reduces_with_its_kernel() {
    let input = Shape::chw(19, 32, 32).unwrap();
    let place = Place::new(64, 3).stride(2);
    let graph = row("esp").graph(input, place, &Style::default()).unwrap();
    assert_eq!(graph.cost().unwrap().params, 12 * 9 * (19 + 64));
    let adds = |graph: &Graph| graph.nodes.iter().filter(|node| matches!(node.op, Op::Add(_))).count();
    assert_eq!(adds(&graph), 3);
    let plain = Style { hff: false, ..Style::default() };
    let graph = row("esp").graph(Shape::chw(64, 9, 9).unwrap(), Place::new(64, 3), &plain).unwrap();
    assert_eq!(adds(&graph), 0);
}

#[test]
fn shortcuts_without_parameters_halve_odd_maps() {
    for (d, want) in [(1, 1), (2, 1), (7, 4), (8, 4)] {
        let input = Shape::chw(8, d, d + 1).unwrap();
        let graph = row("pooled_residual").graph(input, Place::new(16, 3).stride(2), &Style::default()).unwrap();
        assert_eq!(graph.output_shape().unwrap().dims(), [16, want, (d + 2) / 2]);
    }
    let narrower = row("pooled_residual").graph(Shape::chw(16, 8, 8).unwrap(), Place::new(8, 3), &Style::default());
    assert!(narrower.unwrap_err().to_string().contains("pooled_residual.add"));
}

#[test]
fn separable_blocks_lend_their_depthwise_half_to_depthwise_places() {
    let halves: Vec<_> = blocks().iter().filter(|row| row.half.is_some()).map(|row| row.name).collect();
    assert_eq!(halves, ["dsc", "pyramid_add", "pyramid_concat", "soft_sharing"]);
    for name in Block::names() {
        let mut b = Builder::new(name);
        let x = b.input("input", Shape::chw(16, 9, 9).unwrap()).unwrap();
        let block = Block::named(name, Style::default()).unwrap();
        let y = block.build_depthwise(&mut b, x, Place::new(99, 3).stride(2)).unwrap();
        let channels = if name == "pyramid_concat" { 48 } else { 16 };
        assert_eq!(b.shape(y).unwrap().dims(), [channels, 5, 5], "{name}");
        let pointwise = b.path("pointwise");
        let graph = b.finish(&[y]).unwrap();
        // Those without a depthwise half stand there whole.
        assert_eq!(graph.find(&pointwise).is_some(), ["bsconv_u", "dsc_swapped"].contains(&name), "{name}");
    }
}

#[test]
fn what_stands_between_costs_its_norm_alone() {
    let base = cost("dsc", [8, 16, 24, 3], &Style::default());
    for name in Between::NAMES {
        let between: Between = name.parse().unwrap();
        let style = Style { between, ..Style::default() };
        let cost = cost("dsc", [8, 16, 24, 3], &style);
        let norm = matches!(between, Between::Bn | Between::BnRelu);
        assert_eq!(cost.params, base.params + u64::from(norm) * 2 * 16, "{name}");
        assert_eq!(cost.macs, base.macs);
        assert_eq!(between.to_string(), name);
    }
    assert!("bn-relu".parse::<Between>().is_err());
}

#[test]
fn every_block_has_a_card_and_an_example() {
    for row in blocks() {
        let cost = row.example().unwrap().cost().unwrap();
        assert!(cost.macs > 0 && cost.params > 0, "{}", row.name);
        assert!(!row.title.is_empty() && !row.weights.is_empty() && !row.macs.is_empty());
    }
    let names = [
        "standard",
        "grouped",
        "dsc",
        "bsconv_u",
        "bsconv_s",
        "pyramid_add",
        "pyramid_concat",
        "inception_simple",
        "esp",
        "soft_sharing",
        "dsc_swapped",
    ];
    assert_eq!(Block::names(), names);
    for name in Block::names() {
        let block = Block::named(name, Style::default()).unwrap();
        assert_eq!(block.row().name, name);
    }
    assert!(Block::named("depthwise", Style::default()).is_none());
}

#[test]
fn drop_in_blocks_keep_the_shape_of_the_convolution_they_stand_for() {
    for name in Block::names() {
        for (kernel, stride) in [(3, 1), (3, 2), (5, 2), (7, 3)] {
            let input = Shape::chw(16, 29, 31).unwrap();
            let place = Place::new(32, kernel).stride(stride);
            let style = Style::default();
            let shape = |name: &str| {
                let graph = row(name).graph(input.clone(), place, &style).unwrap();
                graph.output_shape().unwrap()
            };
            assert_eq!(shape(name), shape("standard"), "{name} {kernel} {stride}");
        }
    }
}
