//! Speed of the convolutions of MobileNet V1, layer by layer, beside the processor's arithmetic peak.
//!
//! `cargo run --release -p sepal-kernels --example conv_speed -- [WORD...]` measures what has all the
//! words in its name, such as `b1`, `b16`, `fwd`, `bwd`, `t1`, `t2`, `512-512`.

use sepal_kernels::pool::{Pool, ThreadPool};
use sepal_kernels::{Act, Buffer, Conv, Dims, Epilogue, Exec, GradSource, Input, NormGrad, Source, Write, conv, norm};
use std::time::Instant;

/// `(input channels, filters, size of the output, how often)` of the pointwise layers at 224×224.
const POINTWISE: [(usize, usize, usize, usize); 9] = [
    (32, 64, 112, 1),
    (64, 128, 56, 1),
    (128, 128, 56, 1),
    (128, 256, 28, 1),
    (256, 256, 28, 1),
    (256, 512, 14, 1),
    (512, 512, 14, 5),
    (512, 1024, 7, 1),
    (1024, 1024, 7, 1),
];

fn layers(batch: usize) -> Vec<(String, Conv, usize)> {
    let mut layers = vec![(
        "3-32@112".to_owned(),
        Conv {
            input: Dims::new(batch, 3, 224, 224),
            output: Dims::new(batch, 32, 112, 112),
            kernel: [3, 3],
            stride: [2, 2],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        },
        1,
    )];
    layers.extend(POINTWISE.map(|(channels, filters, size, times)| {
        let input = Dims::new(batch, channels, size, size);
        (format!("{channels}-{filters}@{size}"), Conv::pointwise(input, filters), times)
    }));
    let same = |channels, size| Conv {
        kernel: [3, 3],
        padding: [1, 1],
        ..Conv::pointwise(Dims::new(batch, channels, size, size), channels)
    };
    layers.push(("k3-64-64@56".to_owned(), same(64, 56), 0));
    layers.push(("k3-256-256@14".to_owned(), same(256, 14), 0));
    layers
}

/// The fastest of some runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut count = 0;
    while count < 5 || (start.elapsed().as_secs_f64() < 0.4 && count < 200) {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        count += 1;
    }
    best
}

fn filled(len: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(len);
    buffer.iter_mut().enumerate().for_each(|(at, value)| *value = ((at * 7919) % 1009) as f32 / 1009.0 - 0.5);
    buffer
}

/// Multiply-adds per second of a forward pass; in training with a transform on load and statistics.
fn forward(exec: Exec<'_>, conv: &Conv, training: bool) -> f64 {
    let pictures = conv.input.c < 16;
    let x = filled(conv.input.len());
    let packed = filled(conv::packed_len(conv));
    let [vector, bias] = [conv.input, conv.output].map(|dims| filled(dims.blocks() * 16));
    let mut out = Buffer::zeroed(conv.output.len());
    let mut stats = Buffer::zeroed(norm::stats_len(&conv.output, conv::stat_rows(conv)));
    let mut scratch = Buffer::zeroed(conv::forward_scratch(conv, exec.pool.threads()));
    let source = Source { z: &x, affine: Some((&vector, &vector)), act: Act::Relu };
    let input = match (pictures, training) {
        (true, _) => Input::Pixels(&x),
        (_, true) => Input::Blocked(source),
        _ => Input::Blocked(Source::plain(&x)),
    };
    let epilogue =
        if training { Epilogue::default() } else { Epilogue { bias: Some(&bias), add: None, act: Act::Relu } };
    best(|| {
        let stats = training.then_some(&mut stats[..]);
        conv::forward(exec, conv, input, &packed, epilogue, &mut out, stats, &mut scratch);
    })
}

fn backward(exec: Exec<'_>, conv: &Conv) -> f64 {
    let pictures = conv.input.c < 16;
    let x = filled(conv.input.len());
    let [g, z] = [(); 2].map(|()| filled(conv.output.len()));
    let packed = filled(conv::packed_back_len(conv));
    let [from, to] = [conv.input, conv.output].map(|dims| filled(dims.blocks() * 16));
    let mut dx = Buffer::zeroed(conv.input.len());
    let mut dw = Buffer::zeroed(conv.weight_len());
    let mut scratch = Buffer::zeroed(conv::backward_scratch(conv, exec.pool.threads()));
    let source = Source { z: &x, affine: Some((&from, &from)), act: Act::Relu };
    let input = if pictures { Input::Pixels(&x) } else { Input::Blocked(source) };
    let dz = GradSource {
        g: &g,
        source: Source { z: &z, affine: Some((&to, &to)), act: Act::Relu },
        norm: Some(NormGrad { k1: &to, k2: &to, k3: &to }),
    };
    best(|| {
        let dx = (!pictures).then_some((&mut dx[..], Write::Set));
        conv::backward(exec, conv, dz, input, &packed, dx, Some(&mut dw), None, &mut scratch);
    })
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let pools = [ThreadPool::new(1)?, ThreadPool::new(2)?];
    let peaks = pools.each_ref().map(|pool| sepal_kernels::measure::peak_gflops(Exec::new(pool)));
    println!("peak {:.1} GFLOP/s on one thread, {:.1} on two", peaks[0], peaks[1]);
    for (kind, batch) in [("infer", 1), ("fwd", 16), ("bwd", 16)] {
        for (pool, peak) in pools.iter().zip(peaks) {
            let exec = Exec::new(pool);
            let group = format!("{kind} b{batch} t{}", pool.threads());
            let [mut flops, mut seconds] = [0.0; 2];
            for (name, conv, times) in layers(batch) {
                let name = format!("{group} {name}");
                if !words.iter().all(|word| name.contains(word.as_str())) {
                    continue;
                }
                let passes = if kind != "bwd" || conv.input.c < 16 { 1.0 } else { 2.0 };
                let work = 2e-9 * conv.macs() as f64 * passes;
                let time = match kind {
                    "infer" => forward(exec, &conv, false),
                    "fwd" => forward(exec, &conv, true),
                    _ => backward(exec, &conv),
                };
                let speed = work / time;
                println!("{name:28} {:8.3} ms {speed:7.1} GFLOP/s {:5.1} %", time * 1e3, 100.0 * speed / peak);
                flops += work * times as f64;
                seconds += time * times as f64;
            }
            if flops > 0.0 {
                let speed = flops / seconds;
                println!(
                    "{group:28} {:8.3} ms {speed:7.1} GFLOP/s {:5.1} %  all layers\n",
                    seconds * 1e3,
                    100.0 * speed / peak
                );
            }
        }
    }
    Ok(())
}
