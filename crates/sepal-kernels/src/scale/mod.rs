//! Maps times factors that are one for a whole picture: squeeze-and-excite, gates over domains.

use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector};
use crate::lanes;
use crate::layout::{Dims, LANES};
use crate::source::{GradSource, Source};

/// What the pixels of a picture are multiplied with.
#[derive(Clone, Copy)]
pub enum Factor<'a> {
    /// A number per image and channel: a tensor of `[n, c, 1, 1]` (Hu et al. 2018, arXiv:1709.01507, equation 4).
    PerChannel(Source<'a>),
    /// A number per image: value `index` of a tensor of `[n, of, 1, 1]`.
    PerImage {
        /// The tensor.
        gate: Source<'a>,
        /// Its values per image.
        of: usize,
        /// Which of them.
        index: usize,
    },
}

/// The dimensions of factors, a vector of `c` per image.
const fn vector(dims: &Dims, c: usize) -> Dims {
    Dims::new(dims.n, c, 1, 1)
}

impl Factor<'_> {
    fn check(&self, dims: &Dims) {
        match self {
            Self::PerChannel(s) => assert!(s.z.len() >= vector(dims, dims.c).len()),
            Self::PerImage { gate, of, index } => {
                assert!(index < of && gate.z.len() >= vector(dims, *of).len());
            }
        }
    }

    /// The factors of the sixteen channels of a block, for one image.
    #[inline(always)]
    fn lanes<I: Isa>(&self, isa: I, dims: &Dims, block: usize, image: usize) -> I::Block {
        match self {
            Self::PerChannel(s) => value(isa, s, &vector(dims, dims.c), block, image),
            Self::PerImage { gate, of, index } => {
                let mut all = [0.0; LANES];
                // SAFETY: sixteen floats.
                unsafe { value(isa, gate, &vector(dims, *of), index / LANES, image).store(isa, all.as_mut_ptr()) };
                I::Block::splat(isa, all[index % LANES])
            }
        }
    }
}

/// Sixteen values of a source whose images are one pixel each.
#[inline(always)]
fn value<I: Isa>(isa: I, source: &Source<'_>, dims: &Dims, block: usize, image: usize) -> I::Block {
    source.transform(isa, block).apply(isa, lanes::load(isa, source.z, block * dims.plane() + image * LANES))
}

/// The value of `x` times the factor: sets `out` or adds to it. A gated sum is one addition for each term.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn forward(exec: Exec<'_>, dims: &Dims, x: Source<'_>, factor: Factor<'_>, out: &mut [f32], write: Write) {
    assert!(x.z.len() >= dims.len());
    run(exec, dims, Operand::Value(&x), factor, out, write);
}

/// The gradient of the value of `x`, from the gradient `dz` of the product: sets `dx` or adds to it.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn input_grad(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, factor: Factor<'_>, dx: &mut [f32], write: Write) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len());
    run(exec, dims, Operand::Gradient(&dz), factor, dx, write);
}

/// The gradient of a factor per channel, from the gradient `dz` of the product and the other factor `x`: per
/// image and channel the sum of their products. Sets `ds`, of `[n, c, 1, 1]`, or adds to it.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn channel_grad(exec: Exec<'_>, dims: &Dims, dz: GradSource<'_>, x: Source<'_>, ds: &mut [f32], write: Write) {
    assert!(ds.len() >= vector(dims, dims.c).len());
    let plane = vector(dims, dims.c).plane();
    sums(exec, dims, &dz, &x, Shared::new(ds), write, |block, image| block * plane + image * LANES);
}

/// Floats of scratch that [`image_grad`] needs.
pub fn image_grad_scratch(dims: &Dims) -> usize {
    dims.n * dims.blocks() * LANES
}

/// The gradient of a factor per image, from the gradient `dz` of the product and the other factor `x`: per
/// image the sum of their products. Sets value `index` of `dgate`, a tensor of `[n, of, 1, 1]`, or adds to it. What sets the
/// first of sixteen values zeroes the others.
///
/// # Panics
/// If a slice is shorter than its role asks.
pub fn image_grad(
    exec: Exec<'_>,
    dims: &Dims,
    dz: GradSource<'_>,
    x: Source<'_>,
    (of, index): (usize, usize),
    dgate: &mut [f32],
    write: Write,
    scratch: &mut [f32],
) {
    let gate = vector(dims, of);
    assert!(index < of && dgate.len() >= gate.len() && scratch.len() >= image_grad_scratch(dims));
    let blocks = dims.blocks();
    sums(exec, dims, &dz, &x, Shared::new(scratch), Write::Set, |block, image| (image * blocks + block) * LANES);
    for (image, channels) in scratch.chunks_exact(blocks * LANES).take(dims.n).enumerate() {
        let sum = channels[..dims.c].iter().map(|&sum| f64::from(sum)).sum::<f64>() as f32;
        let line = &mut dgate[index / LANES * gate.plane() + image * LANES..][..LANES];
        match write {
            Write::Add => line[index % LANES] += sum,
            Write::Set if index.is_multiple_of(LANES) => {
                line.fill(0.0);
                line[0] = sum;
            }
            Write::Set => line[index % LANES] = sum,
        }
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Value(&'a Source<'a>),
    Gradient(&'a GradSource<'a>),
}

fn run(exec: Exec<'_>, dims: &Dims, from: Operand<'_>, factor: Factor<'_>, out: &mut [f32], write: Write) {
    assert!(out.len() >= dims.len());
    factor.check(dims);
    let out = Shared::new(out);
    exec.pool.run(dims.blocks() * dims.n, &|picture, _| {
        exec.level.dispatch(Product { dims, from, factor: &factor, out, write, picture });
    });
}

/// The pixels of one channel block of one image.
struct Product<'a> {
    dims: &'a Dims,
    from: Operand<'a>,
    factor: &'a Factor<'a>,
    out: Shared<'a>,
    write: Write,
    picture: usize,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (block, at, pixels) = place(self.dims, self.picture);
        let factor = self.factor.lanes(isa, self.dims, block, self.picture % self.dims.n);
        let to = self.out.at(at, pixels * LANES);
        match self.from {
            Operand::Value(x) => {
                let (z, transform) = (x.z[at..][..pixels * LANES].as_ptr(), x.transform(isa, block));
                for pixel in 0..pixels {
                    // SAFETY: a pixel of the picture, which is this item's.
                    unsafe {
                        let value = transform.apply(isa, I::Block::load(isa, z.add(pixel * LANES)));
                        lanes::write(isa, value.mul(isa, factor), to.add(pixel * LANES), self.write);
                    }
                }
            }
            Operand::Gradient(dz) => {
                let [g, z] = [dz.g, dz.source.z].map(|x| x[at..][..pixels * LANES].as_ptr());
                let transform = dz.transform(isa, block);
                for pixel in 0..pixels {
                    // SAFETY: as above.
                    unsafe {
                        let (g, z) =
                            (I::Block::load(isa, g.add(pixel * LANES)), I::Block::load(isa, z.add(pixel * LANES)));
                        let value = transform.apply(isa, g, z).mul(isa, factor);
                        lanes::write(isa, value, to.add(pixel * LANES), self.write);
                    }
                }
            }
        }
    }
}

/// Block, first float and pixels of one channel block of one image.
fn place(dims: &Dims, picture: usize) -> (usize, usize, usize) {
    let (block, image, pixels) = (picture / dims.n, picture % dims.n, dims.h * dims.w);
    (block, block * dims.plane() + image * pixels * LANES, pixels)
}

/// Per image and channel the sum over pixels of gradient times value, to where `place` says for block and image.
fn sums(
    exec: Exec<'_>,
    dims: &Dims,
    dz: &GradSource<'_>,
    x: &Source<'_>,
    out: Shared<'_>,
    write: Write,
    place: impl Fn(usize, usize) -> usize + Sync,
) {
    assert!(dz.g.len() >= dims.len() && dz.source.z.len() >= dims.len() && x.z.len() >= dims.len());
    exec.pool.run(dims.blocks() * dims.n, &|picture, _| {
        let to = out.at(place(picture / dims.n, picture % dims.n), LANES);
        exec.level.dispatch(Sums { dims, dz, x, to, write, picture });
    });
}

struct Sums<'a> {
    dims: &'a Dims,
    dz: &'a GradSource<'a>,
    x: &'a Source<'a>,
    to: *mut f32,
    write: Write,
    picture: usize,
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (block, at, pixels) = place(self.dims, self.picture);
        let [g, z, x] = [self.dz.g, self.dz.source.z, self.x.z].map(|x| x[at..][..pixels * LANES].as_ptr());
        let (of_g, of_x) = (self.dz.transform(isa, block), self.x.transform(isa, block));
        let mut sums = [I::Block::splat(isa, 0.0); 4];
        for pixel in 0..pixels {
            // SAFETY: a pixel of the picture.
            let (g, z, x) = unsafe {
                let at = pixel * LANES;
                (I::Block::load(isa, g.add(at)), I::Block::load(isa, z.add(at)), I::Block::load(isa, x.add(at)))
            };
            sums[pixel % 4] = of_g.apply(isa, g, z).mul_add(isa, of_x.apply(isa, x), sums[pixel % 4]);
        }
        let sum = sums[0].add(isa, sums[1]).add(isa, sums[2].add(isa, sums[3]));
        // SAFETY: sixteen floats of this item's own.
        unsafe { lanes::write(isa, sum, self.to, self.write) };
    }
}

#[cfg(test)]
mod tests;
