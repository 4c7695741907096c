//! Speed of 3×3 convolutions of stride 1, layer by layer: directly, and by Winograd's algorithm on tiles of 2×2 and of 4×4.
//!
//! `cargo run --release -p sepal-kernels --example winograd_speed -- [WORD...]` measures what has all the words in its name,
//! such as `t1`, `t2`, `512@7`. Each is computed with several copies of its weights in turn, as a network would: none is
//! in a cache unless all of a network's are.

use sepal_kernels::conv::winograd::{self, Tile};
use sepal_kernels::pool::ThreadPool;
use sepal_kernels::{Act, Buffer, Conv, Dims, Epilogue, Exec, Input, Source, conv};
use std::time::Instant;

/// `(input channels, filters, height, width, dilation)`
const LAYERS: [(usize, usize, usize, usize, usize); 22] = [
    // ResNet-18, -50
    (64, 64, 56, 56, 1),
    (128, 128, 28, 28, 1),
    (256, 256, 14, 14, 1),
    (512, 512, 7, 7, 1),
    // Inception-V3
    (32, 64, 147, 147, 1),
    (80, 192, 71, 71, 1),
    (64, 96, 35, 35, 1),
    (96, 96, 35, 35, 1),
    (448, 384, 8, 8, 1),
    // CIFAR ResNets
    (3, 16, 32, 32, 1),
    (16, 16, 32, 32, 1),
    (32, 32, 16, 16, 1),
    (64, 64, 8, 8, 1),
    (160, 160, 32, 32, 1),
    (320, 320, 16, 16, 1),
    (640, 640, 8, 8, 1),
    // DenseNet-121
    (128, 32, 56, 56, 1),
    (128, 32, 14, 14, 1),
    (128, 32, 7, 7, 1),
    // ESPNet
    (12, 12, 128, 256, 2),
    (25, 25, 64, 128, 4),
    (25, 25, 64, 128, 16),
];

/// The median time of some runs, in seconds.
fn median(mut run: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 7 || (start.elapsed().as_secs_f64() < 0.25 && times.len() < 400) {
        let start = Instant::now();
        run(times.len());
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn filled(len: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(len);
    buffer.iter_mut().enumerate().for_each(|(at, value)| *value = ((at * 7919) % 1009) as f32 / 1009.0 - 0.5);
    buffer
}

/// Floats of the weights of a whole network.
const WEIGHTS: usize = 12 << 20;

fn measure(exec: Exec<'_>, conv: &Conv, tile: Option<Tile>) -> f64 {
    let threads = exec.pool.threads();
    let (x, bias) = (filled(conv.input.len()), filled(conv.output.blocks() * 16));
    let epilogue = Epilogue { bias: Some(&bias), add: None, act: Act::Relu };
    let mut out = Buffer::zeroed(conv.output.len());
    let len = tile.map_or(conv::packed_len(conv), |tile| winograd::packed_len(conv, tile));
    // As many copies as make up a network's weights of 3×3.
    let copies = (WEIGHTS / conv::packed_len(conv)).clamp(1, 16);
    let packed = filled(len * copies);
    let part = |run: usize| &packed[run % copies * len..][..len];
    match tile {
        None => {
            let mut scratch = Buffer::zeroed(conv::forward_scratch(conv, threads));
            let input = Input::Blocked(Source::plain(&x));
            median(|run| conv::forward(exec, conv, input, part(run), epilogue, &mut out, None, &mut scratch))
        }
        Some(tile) => {
            let mut scratch = Buffer::zeroed(winograd::forward_scratch(conv, tile, threads));
            median(|run| winograd::forward(exec, conv, tile, &x, part(run), epilogue, &mut out, &mut scratch))
        }
    }
}

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    for threads in [1, 2] {
        let pool = ThreadPool::new(threads)?;
        for batch in [1, 8] {
            for (channels, filters, h, w, dilation) in LAYERS {
                let name = format!("b{batch} t{threads} {channels}-{filters}@{h}x{w}/{dilation}");
                if !words.iter().all(|word| name.contains(word.as_str())) {
                    continue;
                }
                let conv = Conv {
                    kernel: [3, 3],
                    padding: [dilation; 2],
                    dilation: [dilation; 2],
                    ..Conv::pointwise(Dims::new(batch, channels, h, w), filters)
                };
                let times =
                    [None, Some(Tile::Two), Some(Tile::Four)].map(|tile| measure(Exec::new(&pool), &conv, tile));
                let work = 2e-9 * conv.macs() as f64;
                let [direct, two, four] = times.map(|time| format!("{:8.3} ms {:6.1}", time * 1e3, work / time));
                println!(
                    "{name:28} direct {direct} | 2×2 {two} | 4×4 {four} GFLOP/s, {:.2}×",
                    times[0] / times[1].min(times[2])
                );
            }
        }
    }
    Ok(())
}
