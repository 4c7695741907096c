//! Milliseconds and GB/s of MobileNet V1's depthwise layers at 224×224 pixels.
//!
//! `cargo run --release -p sepal-kernels --example depthwise_speed [threads]`
//!
//! Bytes are those that must move: forward reads the input and writes the output, backward reads `g`, `z` and `x`
//! and writes `dx`. `forward 1` is inference (plain input, bias, ReLU); `forward 16` is training's (norm and ReLU of
//! the input on load, statistics); `sums 16` are the sums of the norm after it; `backward 16` has the norm's gradient
//! and ReLU's derivative on load.

use sepal_kernels::pool::{Pool, Serial, ThreadPool};
use sepal_kernels::{Act, Buffer, Conv, Dims, Epilogue, Exec, GradSource, NormGrad, Source, Write};
use sepal_kernels::{depthwise, norm};
use std::time::Instant;

/// Channels, size of the input, stride, and how often the layer occurs.
const LAYERS: [(usize, usize, usize, usize); 9] = [
    (32, 112, 1, 1),
    (64, 112, 2, 1),
    (128, 56, 1, 1),
    (128, 56, 2, 1),
    (256, 28, 1, 1),
    (256, 28, 2, 1),
    (512, 14, 1, 5),
    (512, 14, 2, 1),
    (1024, 7, 1, 1),
];

fn main() {
    let given = std::env::args().nth(1).and_then(|threads| threads.parse().ok());
    for threads in given.map_or(vec![1, 2], |threads: usize| vec![threads]) {
        let pool: Box<dyn Pool> = match ThreadPool::new(threads) {
            Ok(pool) if threads > 1 => Box::new(pool),
            _ => Box::new(Serial),
        };
        let exec = Exec::new(&*pool);
        let (peak, read) = (sepal_kernels::measure::peak_gflops(exec), sepal_kernels::measure::bandwidth(exec));
        println!("{} threads, {}: {peak:.0} GFLOP/s, {read:.1} GB/s read", threads, exec.level.name());
        println!("{:>20} {:>16} {:>16} {:>16} {:>16}", "", "forward 1", "forward 16", "sums 16", "backward 16");
        let mut totals = [0.0; 4];
        for (channels, size, stride, times) in LAYERS {
            let figures = layer(exec, channels, size, stride);
            print!("{:>20}", format!("{times} x {channels} x {size}² /{stride}"));
            for (total, (ms, gigabytes)) in totals.iter_mut().zip(figures) {
                *total += ms * times as f64;
                print!(" {ms:>8.3} {gigabytes:>7.1}");
            }
            println!();
        }
        println!("{:>20} {}", "ms in all", totals.map(|ms| format!("{ms:>8.3}        ")).join(" "));
    }
}

fn random(len: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(len);
    let mut state = 1u32;
    for value in buffer.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0;
    }
    buffer
}

fn conv(n: usize, channels: usize, size: usize, stride: usize) -> Conv {
    let out = size / stride;
    Conv {
        input: Dims::new(n, channels, size, size),
        output: Dims::new(n, channels, out, out),
        kernel: [3, 3],
        stride: [stride, stride],
        padding: [1, 1],
        dilation: [1, 1],
        groups: channels,
    }
}

fn layer(exec: Exec<'_>, channels: usize, size: usize, stride: usize) -> [(f64, f64); 4] {
    let threads = exec.pool.threads();
    let weight = random(channels * 9);
    let vectors: [Buffer; 6] = std::array::from_fn(|_| random(channels));
    let [scale, shift, bias, k1, k2, k3] = &vectors;

    let one = conv(1, channels, size, stride);
    let mut packed = Buffer::zeroed(depthwise::packed_len(&one));
    depthwise::pack(exec, &one, &weight, &mut packed);
    let (x, mut out) = (random(one.input.len()), Buffer::zeroed(one.output.len()));
    let mut scratch = Buffer::zeroed(depthwise::forward_scratch(&one, threads));
    let epilogue = Epilogue { bias: Some(bias), add: None, act: Act::Relu };
    let inference = best(|| {
        depthwise::forward(exec, &one, Source::plain(&x), &packed, epilogue, &mut out, None, &mut scratch);
    });

    let many = conv(16, channels, size, stride);
    let (x, mut out) = (random(many.input.len()), Buffer::zeroed(many.output.len()));
    let source = Source { z: &x, affine: Some((scale, shift)), act: Act::Relu };
    let mut scratch = Buffer::zeroed(depthwise::forward_scratch(&many, threads));
    let mut stats = vec![0.0; norm::stats_len(&many.output, depthwise::stat_rows(&many))];
    let forward = best(|| {
        let stats = Some(&mut stats[..]);
        depthwise::forward(exec, &many, source, &packed, Epilogue::default(), &mut out, stats, &mut scratch);
    });

    let g = random(many.output.len());
    let z = Source { z: &out, affine: Some((scale, shift)), act: Act::Relu };
    let mut partial = vec![0.0; norm::grad_sums_len(&many.output)];
    let sums = best(|| norm::grad_sums(exec, &many.output, &g, z, shift, &mut partial));

    let dz = GradSource { g: &g, source: z, norm: Some(NormGrad { k1, k2, k3 }) };
    let mut dx = Buffer::zeroed(many.input.len());
    let mut dw = vec![0.0; many.weight_len()];
    let mut scratch = Buffer::zeroed(depthwise::backward_scratch(&many, threads));
    let backward = best(|| {
        let (dx, dw) = (Some((&mut dx[..], Write::Set)), Some(&mut dw[..]));
        depthwise::backward(exec, &many, dz, source, &packed, dx, dw, None, &mut scratch);
    });
    let bytes = |floats: usize, seconds: f64| (seconds * 1e3, floats as f64 * 4.0 / seconds / 1e9);
    [
        bytes(one.input.len() + one.output.len(), inference),
        bytes(many.input.len() + many.output.len(), forward),
        bytes(2 * many.output.len(), sums),
        bytes(2 * many.output.len() + 2 * many.input.len(), backward),
    ]
}

/// Seconds of the fastest of many runs, in about a third of a second.
fn best(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
