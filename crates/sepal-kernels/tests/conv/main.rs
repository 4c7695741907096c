//! Convolutions on every instruction set, against the definition in f64.

mod backward;
mod forward;
mod naive;
mod strassen;
mod transposed;
mod winograd;

use proptest::prelude::*;
use sepal_kernels::pool::{Serial, ThreadPool};
use sepal_kernels::{Buffer, Conv, Dims, Exec, Level, from_nchw, to_nchw};

/// A deterministic number in -1..1 for each index.
fn noise(seed: u64, index: usize) -> f32 {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (index as u64 + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^= x >> 31;
    x = x.wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 29;
    (x >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn noises(seed: u64, len: usize) -> Vec<f32> {
    (0..len).map(|index| noise(seed, index)).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn nchw_len(dims: Dims) -> usize {
    dims.c * dims.rows()
}

/// Channel blocks of `N, C, H, W`; lanes past the channels hold junk, as kernels may leave there.
fn blocked(dims: Dims, nchw: &[f32]) -> Buffer {
    let mut buffer = Buffer::zeroed(dims.len());
    buffer.fill(7.5);
    from_nchw(Exec::new(&Serial), dims, nchw, &mut buffer);
    if !dims.c.is_multiple_of(16) {
        let plane = (dims.blocks() - 1) * dims.plane();
        for row in 0..dims.rows() {
            buffer[plane + row * 16 + dims.c % 16..plane + row * 16 + 16].fill(1000.0);
        }
    }
    buffer
}

fn dense(dims: Dims, blocked: &[f32]) -> Vec<f32> {
    let mut nchw = vec![0.0; nchw_len(dims)];
    to_nchw(Exec::new(&Serial), dims, blocked, &mut nchw);
    nchw
}

/// A per-channel vector, padded to whole blocks.
fn padded(values: &[f32], dims: Dims) -> Vec<f32> {
    let mut padded = values.to_vec();
    padded.resize(dims.blocks() * 16, 0.0);
    padded
}

/// Applies a function of value and channel to `N, C, H, W`.
fn map(dims: Dims, values: &[f64], f: impl Fn(f64, usize) -> f64) -> Vec<f64> {
    let pixels = dims.h * dims.w;
    values.iter().enumerate().map(|(index, &value)| f(value, index / pixels % dims.c)).collect()
}

/// Equal up to rounding: the error of a sum of `terms` products of numbers below 2.
fn close(what: &str, got: &[f32], want: &[f64], terms: usize) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bound = 1e-6 * (terms as f64).sqrt().max(1.0) * 8.0;
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs();
        assert!(error <= bound * (1.0 + want.abs()), "{what}[{index}]: {got} for {want}");
    }
}

fn pools() -> [ThreadPool; 2] {
    [1, 3].map(|threads| ThreadPool::new(threads).unwrap())
}

fn levels() -> Vec<Level> {
    Level::available()
}

/// A convolution with padding on all sides, or as asked on the bottom and right.
fn conv(
    n: usize,
    c: usize,
    filters: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
) -> Option<Conv> {
    let [top, left, bottom, right] = padding;
    let out = |side: usize, pad: usize| {
        let reach = (kernel[side] - 1) * dilation[side] + 1;
        (size[side] + pad).checked_sub(reach).map(|rest| rest / stride[side] + 1)
    };
    let (h, w) = (out(0, top + bottom)?, out(1, left + right)?);
    Some(Conv {
        input: Dims::new(n, c, size[0], size[1]),
        output: Dims::new(n, filters, h, w),
        kernel,
        stride,
        padding: [top, left],
        dilation,
        groups,
    })
}

prop_compose! {
    /// Any small convolution.
    fn any_conv()(
        n in 1usize..3,
        groups in prop_oneof![4 => Just(1usize), 1 => 2usize..5],
        reads in prop_oneof![1usize..6, 15usize..19, 30usize..35],
        filters in prop_oneof![1usize..6, 15usize..19, 30usize..35],
        size in [1usize..9, 1usize..9],
        kernel in prop_oneof![Just([1usize, 1]), [1usize..4, 1usize..4]],
        stride in prop_oneof![Just([1usize, 1]), [1usize..4, 1usize..4]],
        padding in prop_oneof![Just([0usize; 4]), [0usize..3, 0usize..3, 0usize..3, 0usize..3]],
        dilation in prop_oneof![3 => Just([1usize, 1]), 1 => [1usize..4, 1usize..4]],
    ) -> Option<Conv> {
        conv(n, reads * groups, filters * groups, size, kernel, stride, padding, dilation, groups)
    }
}

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

/// Larger ones, that are cut into several row blocks, rounds and groups of panels.
fn large() -> Vec<Conv> {
    let square = |n, c, filters, size, kernel, stride, padding, groups| {
        conv(n, c, filters, [size, size], [kernel; 2], [stride; 2], [padding; 4], [1, 1], groups).unwrap()
    };
    vec![
        square(2, 17, 33, 23, 1, 1, 0, 1),
        square(1, 40, 1000, 1, 1, 1, 0, 1),
        square(3, 1100, 20, 2, 1, 1, 0, 1),
        square(1, 150, 30, 9, 3, 1, 1, 1),
        square(2, 24, 24, 20, 3, 2, 1, 3),
        square(3, 3, 32, 21, 3, 2, 1, 1),
        square(1, 1, 5, 30, 5, 1, 2, 1),
        square(1, 20, 1200, 3, 3, 1, 1, 1),
        // Weights so many beside the rows that their gradient is cut by panels.
        square(6, 600, 410, 5, 1, 1, 0, 1),
        // Results large enough to be stored past the caches.
        square(1, 2, 33, 210, 1, 1, 0, 1),
        square(1, 33, 2, 210, 1, 1, 0, 1),
    ]
}
