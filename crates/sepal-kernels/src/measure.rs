//! What this machine can do at best: the figures that measured speeds are held against.

use crate::exec::{Exec, Shared};
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Buffer, LANES};
use std::time::Instant;

/// Independent sums, enough to hide the latency of two multiply-adds per cycle.
const SUMS: usize = 12;
/// Multiply-adds of each sum in one item.
const STEPS: usize = 100_000;
/// Floats read by one item.
const CHUNK: usize = 1 << 18;
/// Items of a read: 256 MiB, many times what caches hold.
const CHUNKS: usize = 256;
/// Times a measurement is repeated; the best counts.
const ROUNDS: usize = 5;

/// Multiply-adds from registers to registers, in 10⁹ floating-point operations (two per multiply-add) per second, all
/// workers together. Takes a few tens of milliseconds.
pub fn peak_gflops(exec: Exec<'_>) -> f64 {
    let items = exec.pool.threads() * 8;
    let mut flops = 0.0;
    let seconds = best(|| {
        let mut results = vec![0.0; items];
        let shared = Shared::new(&mut results);
        exec.pool.run(items, &|item, _| {
            // SAFETY: an item is a cell.
            unsafe { *shared.at(item, 1) = exec.level.dispatch(MultiplyAdds) }
        });
        flops = results.into_iter().map(f64::from).sum();
    });
    flops / seconds / 1e9
}

/// Bytes read from memory, in 10⁹ per second, all workers together. Takes some tenths of a second and
/// 256 MiB of memory.
pub fn bandwidth(exec: Exec<'_>) -> f64 {
    let mut memory = Buffer::zeroed(CHUNK * CHUNKS);
    // Pages that were never written share one page of zeros.
    memory.fill(1.0);
    let seconds = best(|| {
        exec.pool.run(CHUNKS, &|item, _| {
            std::hint::black_box(exec.level.dispatch(Read(&memory[item * CHUNK..][..CHUNK])));
        });
    });
    (memory.len() * size_of::<f32>()) as f64 / seconds / 1e9
}

fn best(mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(time).fold(f64::INFINITY, f64::min)
}

/// Returns the floating-point operations that it did.
struct MultiplyAdds;

impl Kernel for MultiplyAdds {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        // Unknown to the compiler, or it would compute the result itself.
        let factor = I::Reg::splat(isa, std::hint::black_box(0.999));
        let addend = I::Reg::splat(isa, std::hint::black_box(0.001));
        let mut sums = [factor; SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = sum.mul_add(isa, factor, addend);
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = total.add(isa, *sum);
        }
        let mut lanes = [0.0; LANES];
        // SAFETY: a register has at most sixteen lanes.
        unsafe { total.store(isa, lanes.as_mut_ptr()) }
        std::hint::black_box(lanes);
        (2 * SUMS * STEPS * I::Reg::WIDTH) as f32
    }
}

struct Read<'a>(&'a [f32]);

impl Kernel for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        let mut sums = [I::Block::splat(isa, 0.0); 8];
        for lines in self.0.chunks_exact(8 * LANES) {
            for (sum, line) in sums.iter_mut().zip(lines.chunks_exact(LANES)) {
                // SAFETY: sixteen floats.
                *sum = sum.add(isa, unsafe { I::Block::load(isa, line.as_ptr()) });
            }
        }
        let mut total = sums[0];
        for sum in &sums[1..] {
            total = total.add(isa, *sum);
        }
        let mut lanes = [0.0; LANES];
        // SAFETY: sixteen floats.
        unsafe { total.store(isa, lanes.as_mut_ptr()) }
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Level;
    use crate::pool::Serial;

    #[test]
    fn figures_are_plausible() {
        for level in Level::available() {
            let peak = peak_gflops(Exec { level, pool: &Serial });
            assert!((0.05..10_000.0).contains(&peak), "{}: {peak}", level.name());
        }
        let bandwidth = bandwidth(Exec::new(&Serial));
        assert!((0.1..10_000.0).contains(&bandwidth), "{bandwidth}");
    }
}
