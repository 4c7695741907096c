//! Ranges of channels.

use std::ops::Range;

use crate::act::{Act, shifted};
use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::isa::{Isa, Kernel, Vector, lanes};
use crate::layout::{Dims, LANES};
use crate::pass::ROWS;
use crate::source::Source;

/// Channels of one tensor that are channels of another, with the same pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Size of the tensor read.
    pub from: Dims,
    /// Its first channel read.
    pub first: usize,
    /// Size of the tensor written.
    pub to: Dims,
    /// Its first channel written.
    pub at: usize,
    /// Channels copied.
    pub count: usize,
}

impl Channels {
    /// The way back, which the gradient takes.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { from: self.to, first: self.at, to: self.from, at: self.first, count: self.count }
    }
}

/// Copies channels of a source's value, or adds them to what is there; other channels stay.
///
/// Setting the last channel also sets the lanes past it to zero, so that parts written one after the other
/// leave nothing undefined.
///
/// # Panics
/// If the sizes contradict each other or a slice is shorter than they ask.
pub fn channels(exec: Exec<'_>, copy: &Channels, x: Source<'_>, out: &mut [f32], write: Write) {
    run(exec, copy, x, Finish::default(), out, write);
}

/// What copied channels become before they are stored: `act(scale·(value + add) + shift)`.
#[derive(Clone, Copy, Default)]
pub struct Finish<'a> {
    /// A tensor of the size of the one written.
    pub add: Option<&'a [f32]>,
    /// Scale and shift per channel of the tensor written, each padded to whole blocks.
    pub affine: Option<(&'a [f32], &'a [f32])>,
    /// The activation, its slopes those of the tensor written.
    pub act: Act<'a>,
}

/// As [`channels`] with [`Write::Set`], through `finish`: the end of a block whose branches are put side by side.
///
/// # Panics
/// If the sizes contradict each other or a slice is shorter than they ask.
pub fn join(exec: Exec<'_>, copy: &Channels, x: Source<'_>, finish: Finish<'_>, out: &mut [f32]) {
    let whole = copy.to.blocks() * LANES;
    assert!(finish.add.is_none_or(|add| add.len() >= copy.to.len()));
    assert!(finish.affine.is_none_or(|(scale, shift)| scale.len().min(shift.len()) >= whole));
    assert!(!matches!(finish.act, Act::Prelu(slopes) if slopes.len() < whole));
    run(exec, copy, x, finish, out, Write::Set);
}

fn run(exec: Exec<'_>, copy: &Channels, x: Source<'_>, finish: Finish<'_>, out: &mut [f32], write: Write) {
    let Channels { from, first, to, at, count } = *copy;
    assert!((from.n, from.h, from.w) == (to.n, to.h, to.w), "pixels: {copy:?}");
    assert!(first + count <= from.c && at + count <= to.c, "channels: {copy:?}");
    assert!(x.z.len() >= from.len() && out.len() >= to.len());
    let out = Shared::new(out);
    let chunks = to.rows().div_ceil(ROWS);
    exec.pool.run((at + count).div_ceil(LANES).saturating_sub(at / LANES) * chunks, &|item, _| {
        let (block, chunk) = (at / LANES + item / chunks, item % chunks);
        let rows = chunk * ROWS..(chunk * ROWS + ROWS).min(to.rows());
        exec.level.dispatch(Item { copy, x: &x, finish, out, write, block, rows });
    });
}

/// Sets channels of a tensor of `dims` to `value`.
///
/// # Panics
/// If there are fewer channels or the slice is shorter than `dims` asks.
pub fn fill(exec: Exec<'_>, dims: &Dims, channels: Range<usize>, value: f32, out: &mut [f32]) {
    assert!(channels.end <= dims.c && out.len() >= dims.len());
    let out = Shared::new(out);
    let first = channels.start / LANES;
    exec.pool.run(channels.end.div_ceil(LANES).saturating_sub(first), &|item, _| {
        let block = first + item;
        let lanes = written(block, &channels, dims);
        // SAFETY: an item is a block.
        let plane = unsafe { out.slice(block * dims.plane(), dims.rows() * LANES) };
        if lanes == (0..LANES) {
            plane.fill(value);
        } else {
            plane.chunks_exact_mut(LANES).for_each(|row| row[lanes.clone()].fill(value));
        }
    });
}

/// The lanes of `block` that are among `channels`, and those past the last channel if that one is.
fn written(block: usize, channels: &Range<usize>, dims: &Dims) -> Range<usize> {
    let first = block * LANES;
    let end = if channels.end == dims.c { LANES } else { (channels.end - first).min(LANES) };
    channels.start.saturating_sub(first)..end
}

/// Some rows of one block of the tensor written.
struct Item<'a> {
    copy: &'a Channels,
    x: &'a Source<'a>,
    finish: Finish<'a>,
    out: Shared<'a>,
    write: Write,
    block: usize,
    rows: Range<usize>,
}

impl Kernel for Item<'_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { copy, x, finish, out, write, block, rows } = self;
        let Channels { from, first, to, at, count } = *copy;
        let wanted = at.saturating_sub(block * LANES)..(at + count - block * LANES).min(LANES);
        let set = written(block, &(at..at + count), &to);
        // The channel that lane 0 would have; none where the range starts at a later lane.
        let start = (block * LANES + first) as isize - at as isize;
        let shift = start.rem_euclid(LANES as isize) as usize;
        // Lanes below `split` lie in the block of lane 0, the others in the next one.
        let (near_block, split) = (start.div_euclid(LANES as isize), LANES - shift);
        let (near, far) = (wanted.start < split, wanted.end > split);
        let plane = |block: isize| block.max(0) as usize * from.plane();
        let near_at = plane(near_block) + shift;
        let far_at = plane(near_block + 1);

        let affine = x.affine.map(|(scale, move_by)| (shifted(scale, start), shifted(move_by, start)));
        let slopes = match x.act {
            Act::Prelu(slopes) => shifted(slopes, start),
            _ => [0.0; LANES],
        };
        let moved = Source {
            z: &[],
            affine: affine.as_ref().map(|(scale, move_by)| (&scale[..], &move_by[..])),
            act: match x.act {
                Act::Prelu(_) => Act::Prelu(&slopes),
                act => act,
            },
        };
        let transform = moved.transform(isa, 0);
        let end = Source { z: &[], affine: finish.affine, act: finish.act }.transform(isa, block);

        let mask = |range: Range<usize>| -> [f32; LANES] {
            let mut mask = [0.0; LANES];
            mask[range].fill(1.0);
            mask
        };
        let zero = I::Block::splat(isa, 0.0);
        let is_near = lanes(isa, &mask(0..split), 0);
        let is_wanted = lanes(isa, &mask(wanted.clone()), 0);
        let is_set = lanes(isa, &mask(set), 0);
        let whole = wanted == (0..LANES);
        let at_row = block * to.plane() + rows.start * LANES;
        let to_row = out.at(at_row, rows.len() * LANES);
        let add = finish.add.map(|add| add[at_row..][..rows.len() * LANES].as_ptr());
        for (index, row) in rows.enumerate() {
            // Shifted loads reach into the rows beside, so the outermost rows are read lane by lane.
            let z = if shift != 0 && (row == 0 || row + 1 == from.rows()) {
                let mut z = [0.0; LANES];
                for lane in wanted.clone() {
                    z[lane] = x.z[if lane < split { near_at + lane } else { far_at + lane - split } + row * LANES];
                }
                lanes(isa, &z, 0)
            } else {
                // SAFETY: all sixteen floats lie between the first and the last row of a plane.
                unsafe {
                    let near_row = x.z[near_at + row * LANES - shift..].as_ptr().add(shift);
                    match (near, far) {
                        (true, false) => I::Block::load(isa, near_row),
                        (false, _) => I::Block::load(isa, x.z[far_at + row * LANES - split..][..LANES].as_ptr()),
                        (true, true) => {
                            let far_row = x.z[far_at + row * LANES - split..][..LANES].as_ptr();
                            let (near, far) = (I::Block::load(isa, near_row), I::Block::load(isa, far_row));
                            is_near.where_gt(isa, zero, near, far)
                        }
                    }
                }
            };
            let mut value = transform.apply(isa, z);
            // SAFETY: a row of this item.
            unsafe {
                if let Some(add) = add {
                    value = value.add(isa, I::Block::load(isa, add.add(index * LANES)));
                }
                let value = end.apply(isa, value);
                let to = to_row.add(index * LANES);
                let value = match (write, whole) {
                    (Write::Set, true) => value,
                    (Write::Set, false) => {
                        let kept = is_set.where_gt(isa, zero, zero, I::Block::load(isa, to));
                        is_wanted.where_gt(isa, zero, value, kept)
                    }
                    (Write::Add, _) => {
                        let before = I::Block::load(isa, to);
                        is_wanted.where_gt(isa, zero, before.add(isa, value), before)
                    }
                };
                value.store(isa, to);
            }
        }
    }
}
