//! Pixels that are weighted sums of pixels, by rows and by columns.

use super::lists::Lists;
use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector};
use crate::layout::{Dims, LANES};
use crate::pass::ROWS;
use crate::source::Source;

/// Which rows (or columns) each row of the result is made of, and by what weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    from: usize,
    taps: Lists<Tap>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tap {
    at: u32,
    weight: f32,
}

impl Axis {
    /// From `from` places to `to`, of which each is the sum of the weighted places that `taps` gives; one
    /// without any lies outside.
    ///
    /// # Panics
    /// If a place is not below `from`, or there are 2³² or more.
    pub fn new<T: IntoIterator<Item = (usize, f32)>>(from: usize, to: usize, mut taps: impl FnMut(usize) -> T) -> Self {
        let tap = |(at, weight)| {
            assert!(at < from, "place {at} of {from}");
            Tap { at: u32::try_from(at).expect("fewer than 2³² places"), weight }
        };
        Self { from, taps: Lists::new(to, |place| taps(place).into_iter().map(tap)) }
    }

    /// Every place as it is.
    pub fn identity(size: usize) -> Self {
        Self::new(size, size, |place| [(place, 1.0)])
    }

    /// How far from itself each place reads, if it is one place as it is or, where there is none, outside: by a
    /// padding, which comes to less than zero, or a cut.
    pub fn shift(&self) -> Option<isize> {
        let first = (0..self.taps.len()).find_map(|place| Some((place, self.taps.get(place).first()?)));
        let shift = first.map_or(0, |(place, tap)| tap.at as isize - place as isize);
        let is_shifted = |place: usize| match (place.checked_add_signed(shift), self.taps.get(place)) {
            (Some(at), [tap]) => at == tap.at as usize && tap.weight == 1.0,
            (at, []) => at.is_none_or(|at| at >= self.from),
            (_, _) => false,
        };
        (0..self.taps.len()).all(is_shifted).then_some(shift)
    }

    /// The way back, which the gradient takes.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let back = |place, tap: &Tap| Tap { at: place as u32, weight: tap.weight };
        Self { from: self.taps.len(), taps: self.taps.transposed(self.from, |tap| tap.at as usize, back) }
    }
}

/// How pixels are made of pixels: the sum over the taps of its row and of its column.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    /// Down.
    pub rows: Axis,
    /// Across.
    pub columns: Axis,
    /// The value of pixels whose row or column lies outside.
    pub outside: f32,
}

impl Taps {
    /// Height and width of what is read.
    pub fn from(&self) -> [usize; 2] {
        [self.rows.from, self.columns.from]
    }

    /// Height and width of what is written.
    pub fn to(&self) -> [usize; 2] {
        [self.rows.taps.len(), self.columns.taps.len()]
    }

    /// The way back, which the gradient takes.
    #[must_use]
    pub fn transposed(&self) -> Self {
        Self { rows: self.rows.transposed(), columns: self.columns.transposed(), outside: 0.0 }
    }
}

/// Makes pixels of pixels: `x` is of `[n, c]` with the pixels that `taps` reads, `out` of the same with those
/// that it writes, and is set or added to.
///
/// # Panics
/// If a slice is shorter than that.
pub fn resample(exec: Exec<'_>, taps: &Taps, n: usize, c: usize, x: Source<'_>, out: &mut [f32], write: Write) {
    let [from, to] = [taps.from(), taps.to()].map(|[h, w]| Dims::new(n, c, h, w));
    assert!(x.z.len() >= from.len() && out.len() >= to.len());
    let out = Shared::new(out);
    // Lines of one item.
    let lines = (ROWS / to.w.max(1)).clamp(1, to.h.max(1));
    let bands = to.h.div_ceil(lines);
    exec.pool.run(to.blocks() * n * bands, &|item, _| {
        let (plane, band) = (item / bands, item % bands);
        let place =
            Place { block: plane / n, image: plane % n, first: band * lines, end: (band * lines + lines).min(to.h) };
        exec.level.dispatch(Item { taps, from: &from, to: &to, x: &x, out, write, place });
    });
}

/// Lines of one plane.
struct Place {
    block: usize,
    image: usize,
    first: usize,
    end: usize,
}

struct Item<'a> {
    taps: &'a Taps,
    from: &'a Dims,
    to: &'a Dims,
    x: &'a Source<'a>,
    out: Shared<'a>,
    write: Write,
    place: Place,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { taps, from, to, x, out, write, place } = self;
        let transform = x.transform(isa, place.block);
        let image = place.block * from.plane() + place.image * from.h * from.w * LANES;
        let z = &x.z[image..][..from.h * from.w * LANES];
        let outside = I::Block::splat(isa, taps.outside);
        for y in place.first..place.end {
            let line = ((place.image * to.h + y) * to.w) * LANES;
            let to_line = out.at(place.block * to.plane() + line, to.w * LANES);
            let down = taps.rows.taps.get(y);
            for column in 0..to.w {
                let across = taps.columns.taps.get(column);
                let mut sum = I::Block::splat(isa, 0.0);
                for row in down {
                    let z_line = row.at as usize * from.w;
                    for tap in across {
                        // SAFETY: places are below the axes' sizes, so this is a pixel of the image.
                        let z = unsafe { I::Block::load(isa, z.as_ptr().add((z_line + tap.at as usize) * LANES)) };
                        let weight = I::Block::splat(isa, row.weight * tap.weight);
                        sum = transform.apply(isa, z).mul_add(isa, weight, sum);
                    }
                }
                if down.is_empty() || across.is_empty() {
                    sum = outside;
                }
                // SAFETY: a pixel of this item's line.
                unsafe {
                    let to = to_line.add(column * LANES);
                    let sum = match write {
                        Write::Set => sum,
                        Write::Add => sum.add(isa, I::Block::load(isa, to)),
                    };
                    sum.store(isa, to);
                }
            }
        }
    }
}
