//! The counted cost against the equations of the separable-convolution literature, in the
//! numbering of Howard et al. 2017 (arXiv:1704.04861, §3.1) extended to all six.

use proptest::prelude::*;
use sepal_graph::{BatchNorm, Builder, Conv2d, Cost, Graph, Linear, Role, Shape};

/// The cost of convolutions in a row on a d×d×m input.
fn cost(d: u64, m: u64, convs: &[Conv2d]) -> Cost {
    graph(d, m, convs).cost().expect("cost")
}

fn graph(d: u64, m: u64, convs: &[Conv2d]) -> Graph {
    let (d, m) = (d as usize, m as usize);
    let mut b = Builder::new("costs");
    let shape = Shape::chw(m, d, d).expect("shape");
    let mut x = b.input("input", shape).expect("input");
    for (i, conv) in convs.iter().enumerate() {
        x = b.conv(&format!("conv{i}"), x, conv.clone()).expect("conv");
    }
    b.finish(&[x]).expect("graph")
}

fn standard(n: u64, k: u64) -> Conv2d {
    Conv2d::standard(n as usize, k as usize).same()
}

fn depthwise(m: u64, k: u64) -> Conv2d {
    Conv2d::depthwise(m as usize, k as usize).same()
}

fn pointwise(n: u64) -> Conv2d {
    Conv2d::pointwise(n as usize)
}

proptest! {
    #[test]
    fn one_filter(d in 1..40_u64, k in 1..8_u64, m in 1..40_u64) {
        let c = cost(d, m, &[standard(1, k)]);
        prop_assert_eq!(c.params, k * k * m);
        prop_assert_eq!(c.macs, d * d * k * k * m); // (1)
    }

    #[test]
    fn standard_convolution(d in 1..40_u64, k in 1..8_u64, m in 1..40_u64, n in 1..40_u64) {
        let c = cost(d, m, &[standard(n, k)]);
        prop_assert_eq!(c.params, k * k * m * n);
        prop_assert_eq!(c.macs, d * d * k * k * m * n); // (2)
    }

    #[test]
    fn depthwise_convolution(d in 1..40_u64, k in 1..8_u64, m in 1..40_u64) {
        let c = cost(d, m, &[depthwise(m, k)]);
        prop_assert_eq!(c.params, k * k * m);
        prop_assert_eq!(c.macs, d * d * k * k * m); // (3)
    }

    #[test]
    fn pointwise_convolution(d in 1..40_u64, m in 1..40_u64, n in 1..40_u64) {
        let c = cost(d, m, &[pointwise(n)]);
        prop_assert_eq!(c.params, m * n);
        prop_assert_eq!(c.macs, d * d * m * n); // (4)
    }

    #[test]
    fn separable_convolution(d in 1..40_u64, k in 1..8_u64, m in 1..40_u64, n in 1..40_u64) {
        let dsc = cost(d, m, &[depthwise(m, k), pointwise(n)]);
        prop_assert_eq!(dsc.params, k * k * m + m * n);
        prop_assert_eq!(dsc.macs, d * d * k * k * m + d * d * m * n); // (5)
        // (6), DSC / standard = 1/N + 1/k², without fractions.
        let full = cost(d, m, &[standard(n, k)]);
        prop_assert_eq!(dsc.macs * n * k * k, full.macs * (k * k + n));
        prop_assert_eq!(dsc.params * n * k * k, full.params * (k * k + n));
    }

    #[test]
    fn grouped_convolution(
        d in 1..24_u64, k in 1..6_u64, per_m in 1..8_u64, per_n in 1..8_u64, groups in 1..9_u64,
    ) {
        let (m, n) = (per_m * groups, per_n * groups);
        let c = cost(d, m, &[standard(n, k).groups(groups as usize)]);
        prop_assert_eq!(c.params, k * k * m * n / groups);
        prop_assert_eq!(c.macs, d * d * k * k * m * n / groups);
    }

    #[test]
    fn one_group_is_standard_and_as_many_as_channels_is_depthwise(
        d in 1..24_u64, k in 2..6_u64, m in 2..40_u64,
    ) {
        let one = standard(m, k).groups(1);
        prop_assert_eq!(&one, &standard(m, k));
        let all = standard(m, k).groups(m as usize);
        prop_assert_eq!(&all, &depthwise(m, k));
        prop_assert!(all.is_depthwise(m as usize) && !all.is_grouped(m as usize));
        prop_assert_eq!(cost(d, m, &[one]).macs, m * cost(d, m, &[all]).macs);
    }

    #[test]
    fn blueprint_convolutions(
        d in 1..24_u64, k in 1..8_u64, m in 1..40_u64, n in 1..40_u64, mid in 1..20_u64,
    ) {
        let u = cost(d, m, &[pointwise(n), depthwise(n, k)]);
        prop_assert_eq!(u.params, m * n + k * k * n);
        prop_assert_eq!(u.macs, d * d * (m * n + k * k * n));
        let s = cost(d, m, &[pointwise(mid), pointwise(n), depthwise(n, k)]);
        prop_assert_eq!(s.params, m * mid + mid * n + k * k * n);
        prop_assert_eq!(s.macs, d * d * (m * mid + mid * n + k * k * n));
    }

    #[test]
    fn output_size_follows_stride_padding_and_dilation(
        h in 1..40_usize, w in 1..40_usize, kh in 1..6_usize, kw in 1..6_usize,
        stride in [1..4_usize, 1..4_usize], padding in [0..4_usize, 0..4_usize, 0..4_usize, 0..4_usize],
        dilation in [1..4_usize, 1..4_usize],
    ) {
        let conv = Conv2d { kernel: [kh, kw], stride, padding, dilation, ..Conv2d::standard(2, 1) };
        let mut b = Builder::new("sizes");
        let x = b.input("input", Shape::chw(3, h, w).unwrap()).unwrap();
        let y = b.conv("conv", x, conv);
        // Counts the positions at which the dilated kernel lies inside the padded map.
        let positions = |n: usize, k: usize, s: usize, d: usize| {
            (0..n).step_by(s).filter(|i| i + d * (k - 1) < n).count()
        };
        let [top, left, bottom, right] = padding;
        let want = [
            positions(h + top + bottom, kh, stride[0], dilation[0]),
            positions(w + left + right, kw, stride[1], dilation[1]),
        ];
        match y {
            Ok(y) => prop_assert_eq!(b.shape(y).unwrap().size(), want),
            Err(error) => {
                prop_assert!(want.contains(&0), "{}", error);
                prop_assert!(error.to_string().contains("node `conv`"));
            }
        }
    }
}

#[test]
fn counts_every_learnable_scalar_and_nothing_else() {
    let mut b = Builder::new("all");
    let x = b.input("input", Shape::chw(3, 8, 8).unwrap()).unwrap();
    let x = b.conv("conv", x, Conv2d::standard(4, 3).bias(true)).unwrap();
    let x = b.batch_norm("bn", x).unwrap();
    let plain = BatchNorm { affine: false, ..BatchNorm::default() };
    let x = b.node("plain", plain, &[x]).unwrap();
    let act = sepal_graph::Activation::Prelu;
    let x = b.activation("act", x, act).unwrap();
    let x = b.flatten("flatten", x).unwrap();
    let linear = Linear { bias: false, ..Linear::new(5) };
    let x = b.node("fc", linear, &[x]).unwrap();
    let graph = b.finish(&[x]).unwrap();
    let cost = graph.cost().unwrap();
    let parts = [108 + 4, 8, 0, 4, 4 * 36 * 5];
    assert_eq!(cost.params, parts.iter().sum::<u64>());
    assert_eq!(cost.macs, 36 * 108 + 4 * 36 * 5);
    assert_eq!(cost.flops(), 2 * cost.macs);
    let rows: u64 = cost.rows.iter().map(|row| row.params).sum();
    assert_eq!(rows, cost.params);
    let activations = 3 * 64 + 5 * (4 * 36) + 5;
    assert_eq!(cost.activation_bytes, 4 * activations);
    assert_eq!(cost.rows[1].kernel, Some([3, 3]));
    let buffers: Vec<_> =
        (graph.params().unwrap().into_iter()).filter(|spec| !spec.role.is_learnable()).map(|spec| spec.path).collect();
    let want = ["bn", "plain"].map(|n| [format!("{n}.running_mean"), format!("{n}.running_var")]);
    assert_eq!(buffers, want.concat());
}

#[test]
fn roles_and_titles_follow_the_kind_of_convolution() {
    let convs = [
        (Conv2d::standard(8, 3), Role::ConvWeight, "Conv2d"),
        (Conv2d::depthwise(8, 3), Role::DepthwiseWeight, "Conv2d (depthwise)"),
        (Conv2d::pointwise(8), Role::PointwiseWeight, "Conv2d (pointwise)"),
        (Conv2d::standard(8, 3).groups(2), Role::ConvWeight, "Conv2d (grouped)"),
    ];
    for (conv, role, title) in convs {
        let graph = graph(9, 8, std::slice::from_ref(&conv));
        assert_eq!(graph.params().unwrap()[0].role, role);
        assert_eq!(graph.cost().unwrap().rows[1].op, title);
    }
}
