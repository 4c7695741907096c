//! Every block against its formula.

use proptest::prelude::*;
use sepal_graph::{Cost, Shape};
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
        let style = Style { groups: groups as usize, p: eighths as f64 / 8.0, ..Style::default() };
        let mid = (m * eighths).div_ceil(8).max(4).min(m);
        let weights = [
            ("standard", k * k * m * n),
            ("grouped", k * k * m * n / groups),
            ("depthwise", k * k * m),
            ("pointwise", m * n),
            ("dsc", k * k * m + m * n),
            ("bsconv_u", m * n + k * k * n),
            ("bsconv_s", m * mid + mid * n + k * k * n),
            ("pyramid_add", (9 + 25 + 49) * m + m * n),
        ];
        for (name, weights) in weights {
            let cost = cost(name, [d, m, n, k], &style);
            prop_assert_eq!(cost.params, weights, "{}", name);
            prop_assert_eq!(cost.macs, d * d * weights, "{}", name);
        }
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
        ];
        for (name, weights, norms) in rows {
            let cost = cost(name, [d, m, n, k], &style);
            prop_assert_eq!(cost.params, weights + norms, "{}", name);
            prop_assert_eq!(cost.macs, d * d * weights, "{}", name);
        }
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
    assert_eq!(Block::names(), ["standard", "grouped", "dsc", "bsconv_u", "bsconv_s", "pyramid_add"]);
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
