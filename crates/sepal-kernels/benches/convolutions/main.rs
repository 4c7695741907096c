//! The convolution kernels over the shapes that networks run.
//!
//! `cargo bench -p sepal-kernels -- [WORDS]` measures what has these words in its name, such as `infer/1/mobilenet_v2`
//! (one thread), `train forward/2` (two) or `depthwise`. Elements are floating-point operations, two for each multiply-add, so
//! that `Gelem/s` are GFLOP/s; `sepal bench` tells the processor's peak.
//!
//! `infer` is one picture with bias and ReLU. `train` is a batch of 16: forward with norm and ReLU of the input on load and
//! statistics of the output, backward with the norm's gradient and ReLU's derivative on load.

mod shapes;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use sepal_kernels::pool::ThreadPool;
use sepal_kernels::{
    Act, Buffer, Conv, Epilogue, Exec, GradSource, Input, InputGrad, LANES, NormGrad, Source, Write, conv, depthwise,
    norm,
};

/// Pictures of a training step.
const BATCH: usize = 16;
/// The network whose training is measured; it has every kind of layer that matters there.
const TRAINED: &str = "mobilenet_v1";

fn filled(len: usize) -> Buffer {
    let mut buffer = Buffer::zeroed(len);
    buffer.iter_mut().enumerate().for_each(|(at, value)| *value = ((at * 7919) % 1009) as f32 / 1009.0 - 0.5);
    buffer
}

/// Whether a picture's few channels are read as they come.
fn takes_pixels(conv: &Conv) -> bool {
    conv.groups == 1 && conv.input.c < LANES
}

/// A forward pass, to be called again and again; in training with a transform on load and statistics.
fn forward(exec: Exec<'_>, conv: &Conv, training: bool, time: impl FnOnce(&mut dyn FnMut())) {
    let depthwise = conv.is_depthwise();
    let threads = exec.pool.threads();
    let x = filled(conv.input.len());
    let [lanes, bias] = [conv.input, conv.output].map(|dims| filled(dims.blocks() * LANES));
    let mut out = Buffer::zeroed(conv.output.len());
    let weight = filled(conv.weight_len());
    let (mut packed, rows, scratch) = if depthwise {
        (
            Buffer::zeroed(depthwise::packed_len(conv)),
            depthwise::stat_rows(conv),
            depthwise::forward_scratch(conv, threads),
        )
    } else {
        (Buffer::zeroed(conv::packed_len(conv)), conv::stat_rows(conv), conv::forward_scratch(conv, threads))
    };
    match depthwise {
        true => depthwise::pack(exec, conv, &weight, &mut packed),
        false => conv::pack(exec, conv, &weight, &mut packed),
    }
    let mut scratch = Buffer::zeroed(scratch);
    let mut stats = Buffer::zeroed(norm::stats_len(&conv.output, rows));
    let source = match training {
        true => Source { z: &x, affine: Some((&lanes, &lanes)), act: Act::Relu },
        false => Source::plain(&x),
    };
    let epilogue = if training {
        Epilogue::default()
    } else {
        Epilogue { bias: Some(&bias), act: Act::Relu, ..Epilogue::default() }
    };
    time(&mut || {
        let stats = training.then_some(&mut stats[..]);
        if depthwise {
            depthwise::forward(exec, conv, source, &packed, epilogue, &mut out, stats, &mut scratch);
        } else {
            let input = if takes_pixels(conv) { Input::Pixels(&x) } else { Input::Blocked(source) };
            conv::forward(exec, conv, input, &packed, epilogue, &mut out, stats, &mut scratch);
        }
    });
}

/// The gradients of input and weight; of a picture's pixels none is wanted.
fn backward(exec: Exec<'_>, conv: &Conv, time: impl FnOnce(&mut dyn FnMut())) {
    let depthwise = conv.is_depthwise();
    let threads = exec.pool.threads();
    let x = filled(conv.input.len());
    let [g, z] = [(); 2].map(|()| filled(conv.output.len()));
    let [from, to] = [conv.input, conv.output].map(|dims| filled(dims.blocks() * LANES));
    let (packed, scratch) = match depthwise {
        true => (depthwise::packed_len(conv), depthwise::backward_scratch(conv, threads)),
        false => (conv::packed_back_len(conv), conv::backward_scratch(conv, threads)),
    };
    let (packed, mut scratch) = (filled(packed), Buffer::zeroed(scratch));
    let mut dx = Buffer::zeroed(conv.input.len());
    let mut dw = Buffer::zeroed(conv.weight_len());
    let source = Source { z: &x, affine: Some((&from, &from)), act: Act::Relu };
    let dz = GradSource {
        g: &g,
        source: Source { z: &z, affine: Some((&to, &to)), act: Act::Relu },
        norm: Some(NormGrad { k1: &to, k2: &to, k3: &to }),
    };
    time(&mut || {
        let set = InputGrad::new(&mut dx, Write::Set);
        if depthwise {
            depthwise::backward(exec, conv, dz, source, &packed, Some(set), Some(&mut dw), None, &mut scratch);
        } else {
            let (input, dx) = match takes_pixels(conv) {
                true => (Input::Pixels(&x), None),
                false => (Input::Blocked(source), Some(set)),
            };
            conv::backward(exec, conv, dz, input, &packed, dx, Some(&mut dw), None, &mut scratch);
        }
    });
}

/// How a pass is measured.
fn group(c: &mut Criterion, name: String) -> BenchmarkGroup<'_, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    group
}

fn convolutions(c: &mut Criterion) {
    for threads in [1, 2] {
        let pool = ThreadPool::new(threads).expect("threads");
        let exec = Exec::new(&pool);
        for (network, shapes) in shapes::networks() {
            let mut infer = group(c, format!("infer/{threads}/{network}"));
            for shape in &shapes {
                let conv = shape.of(1);
                infer.throughput(Throughput::Elements(2 * conv.macs() as u64));
                infer.bench_with_input(BenchmarkId::from_parameter(&shape.name), &conv, |b, conv| {
                    forward(exec, conv, false, |pass| b.iter(pass));
                });
            }
            infer.finish();
        }
        for (network, shapes) in shapes::networks().filter(|(network, _)| *network == TRAINED) {
            for direction in ["forward", "backward"] {
                let mut train = group(c, format!("train {direction}/{threads}/{network}"));
                for shape in &shapes {
                    let conv = shape.of(BATCH);
                    let passes = if direction == "backward" && !takes_pixels(&conv) { 2 } else { 1 };
                    train.throughput(Throughput::Elements(2 * passes * conv.macs() as u64));
                    train.bench_with_input(
                        BenchmarkId::from_parameter(&shape.name),
                        &conv,
                        |b, conv| match direction {
                            "forward" => forward(exec, conv, true, |pass| b.iter(pass)),
                            _ => backward(exec, conv, |pass| b.iter(pass)),
                        },
                    );
                }
                train.finish();
            }
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    convolutions(&mut criterion);
    criterion.final_summary();
}
