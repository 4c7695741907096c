//! Where the time of MobileNet V1 goes: `cargo run --release -p sepal-runtime --example
//! mobilenet_speed -- [SPEC] [SIZE] [BATCH]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sepal_graph::{Meta, Model, Weights};
use sepal_kernels::pool::ThreadPool;
use sepal_runtime::{CompileOptions, compile, session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let spec: sepal_zoo::Spec = arguments.next().unwrap_or_else(|| "mobilenet_v1".into()).parse()?;
    let size = arguments.next().map_or(Ok(224), |size| size.parse())?;
    let batch = arguments.next().map_or(Ok(1), |batch| batch.parse())?;
    let graph = sepal_zoo::build(&spec, Some([size, size]), 1000)?;
    let weights = Weights::init(&graph, 1)?;
    let model = Model::new(graph, weights, Meta::default())?;

    let options = CompileOptions { batch, ..CompileOptions::default() };
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        compile(&model, &options)?;
        fastest = fastest.min(start.elapsed());
    }
    let plan = Arc::new(compile(&model, &options)?);
    println!("compiled in {:.1} ms for {}", fastest.as_secs_f64() * 1e3, plan.level().name());
    let steps = plan.describe();
    let macs: u64 = steps.iter().map(|step| step.macs).sum();

    for threads in [1, 2] {
        let mut session = session(Arc::clone(&plan), Arc::new(ThreadPool::new(threads)?));
        let input = vec![0.5; batch * plan.input_shape().elements()];
        let mut output = vec![0.0; batch * plan.output_shape().elements()];
        for _ in 0..10 {
            session.run(&input, &mut output)?;
        }
        let runs = 100;
        let mut times = Vec::new();
        for _ in 0..runs {
            let start = Instant::now();
            session.run(&input, &mut output)?;
            times.push(start.elapsed());
        }
        // The best of many runs, step by step: on a shared machine the others measure neighbours.
        let mut best = vec![Duration::MAX; steps.len()];
        let mut profile = Vec::new();
        for _ in 0..runs {
            session.run_profiled(&input, &mut output, &mut profile)?;
            for (best, time) in best.iter_mut().zip(&profile) {
                *best = (*best).min(*time);
            }
        }
        times.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (fastest, median) = (ms(times[0]), ms(times[runs / 2]));
        let gflops = 2.0 * (macs * batch as u64) as f64 / fastest / 1e6;
        println!("\n{threads} thread(s): median {median:.2} ms, fastest {fastest:.2} ms, {gflops:.1} GFLOP/s");

        let mut groups: BTreeMap<&str, (Duration, u64)> = BTreeMap::new();
        for (step, time) in steps.iter().zip(&best) {
            let group = step.kind.split(" +").next().unwrap_or(&step.kind);
            let entry = groups.entry(group).or_default();
            *entry = (entry.0 + *time, entry.1 + step.macs);
            if threads == 1 {
                let gflops = 2.0 * (step.macs * batch as u64) as f64 / ms(*time) / 1e6;
                println!("{:32} {:36} {:>7.3} ms {gflops:>7.1} GFLOP/s", step.path, step.kind, ms(*time));
            }
        }
        for (group, (time, macs)) in groups {
            let gflops = 2.0 * (macs * batch as u64) as f64 / ms(time) / 1e6;
            println!("  {group:28} {:>7.3} ms {gflops:>7.1} GFLOP/s", ms(time));
        }
    }
    Ok(())
}
