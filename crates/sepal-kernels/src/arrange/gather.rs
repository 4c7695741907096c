//! Single elements from anywhere.

use super::lists::Lists;
use crate::exec::{Exec, Shared};
use crate::geometry::Write;
use crate::layout::{Dims, LANES};
use crate::pass::ROWS;

/// Which elements of an image each element of another is the sum of, usually one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    from: Dims,
    to: Dims,
    map: Map,
    outside: f32,
}

#[derive(Clone, Debug, PartialEq)]
enum Map {
    /// The channels that each channel is made of, pixel by pixel.
    Channels(Lists<u32>),
    /// The elements that each element is made of, in the order of [`slot`].
    Elements(Lists<Cell>),
}

/// An element of an image: its block, and its float in the image's part of the plane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cell {
    block: u32,
    at: u32,
}

/// Channels of block `block`.
fn width(dims: &Dims, block: usize) -> usize {
    (dims.c - block * LANES).min(LANES)
}

/// Position of an element where those of a pixel and block follow each other.
fn slot(dims: &Dims, block: usize, at: usize) -> usize {
    block * LANES * dims.h * dims.w + at / LANES * width(dims, block) + at % LANES
}

impl Gather {
    /// From images of `from` to images of `to` (of both, `n` does not matter): `source` gives for each element,
    /// counted in the order C, H, W, the element that it is; nothing makes it `outside`.
    ///
    /// # Panics
    /// If `source` gives what is no element, or an image has 2³² elements or more.
    pub fn new(from: Dims, to: Dims, outside: f32, source: impl Fn(usize) -> Option<usize>) -> Self {
        let [from, to] = [from, to].map(|dims| Dims { n: 1, ..dims });
        let [pixels, out_pixels] = [from, to].map(|dims| dims.h * dims.w);
        let element = |c: usize, pixel: usize| {
            let element = source(c * out_pixels + pixel)?;
            assert!(element < from.c * pixels, "element {element} of {from:?}");
            Some((element / pixels, element % pixels))
        };
        let channel = |c: usize| element(c, 0).map(|(from, _)| from);
        let by_channels = pixels == out_pixels
            && (0..to.c).all(|c| {
                let from = channel(c);
                (0..pixels).all(|pixel| element(c, pixel) == from.map(|from| (from, pixel)))
            });
        let narrow = |at: usize| u32::try_from(at).expect("fewer than 2³² elements");
        let map = if by_channels {
            Map::Channels(Lists::new(to.c, |c| channel(c).map(narrow)))
        } else {
            Map::Elements(Lists::new(to.c * out_pixels, |slot| {
                let block = slot / (LANES * out_pixels);
                let in_block = slot % (LANES * out_pixels);
                let width = width(&to, block);
                let (c, pixel) = (block * LANES + in_block % width, in_block / width);
                element(c, pixel)
                    .map(|(c, pixel)| Cell { block: narrow(c / LANES), at: narrow(pixel * LANES + c % LANES) })
            }))
        };
        Self { from, to, map, outside }
    }

    /// Size of the images read, with `n = 1`.
    pub fn from(&self) -> Dims {
        self.from
    }

    /// Size of the images written, with `n = 1`.
    pub fn to(&self) -> Dims {
        self.to
    }

    /// The way back, which the gradient takes.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let (from, to) = (self.from, self.to);
        let map = match &self.map {
            Map::Channels(lists) => {
                Map::Channels(lists.transposed(from.c, |channel| *channel as usize, |place, _| place as u32))
            }
            Map::Elements(lists) => {
                let pixels = to.h * to.w;
                let back = |slot: usize, _: &Cell| {
                    let block = slot / (LANES * pixels);
                    let (in_block, width) = (slot % (LANES * pixels), width(&to, block));
                    Cell { block: block as u32, at: (in_block / width * LANES + in_block % width) as u32 }
                };
                let place = |cell: &Cell| slot(&from, cell.block as usize, cell.at as usize);
                Map::Elements(lists.transposed(from.c * from.h * from.w, place, back))
            }
        };
        Self { from: to, to: from, map, outside: 0.0 }
    }
}

/// Gathers `n` images: `out` is set or added to. Lanes past the last channel are set to zero.
///
/// # Panics
/// If a slice is shorter than the images ask.
pub fn gather(exec: Exec<'_>, gather: &Gather, n: usize, x: &[f32], out: &mut [f32], write: Write) {
    let [from, to] = [gather.from, gather.to].map(|dims| Dims { n, ..dims });
    assert!(x.len() >= from.len() && out.len() >= to.len());
    let out = Shared::new(out);
    let [from_pixels, pixels] = [from, to].map(|dims| dims.h * dims.w);
    let chunks = pixels.div_ceil(ROWS);
    exec.pool.run(to.blocks() * n * chunks, &|item, _| {
        let (plane, chunk) = (item / chunks, item % chunks);
        let (block, image) = (plane / n, plane % n);
        let rows = chunk * ROWS..(chunk * ROWS + ROWS).min(pixels);
        let start = block * to.plane() + (image * pixels + rows.start) * LANES;
        // SAFETY: an item is some pixels of a block of an image.
        let out = unsafe { out.slice(start, rows.len() * LANES) };
        let width = width(&to, block);
        let origin = image * from_pixels * LANES;
        for (pixel, cells) in rows.zip(out.chunks_exact_mut(LANES)) {
            for (lane, cell) in cells[..width].iter_mut().enumerate() {
                let value = match &gather.map {
                    Map::Channels(lists) => sum(lists.get(block * LANES + lane), gather.outside, |&channel| {
                        let channel = channel as usize;
                        x[channel / LANES * from.plane() + origin + pixel * LANES + channel % LANES]
                    }),
                    Map::Elements(lists) => {
                        let slot = block * LANES * pixels + pixel * width + lane;
                        let read = |cell: &Cell| x[cell.block as usize * from.plane() + origin + cell.at as usize];
                        sum(lists.get(slot), gather.outside, read)
                    }
                };
                match write {
                    Write::Set => *cell = value,
                    Write::Add => *cell += value,
                }
            }
            cells[width..].fill(0.0);
        }
    });
}

/// The sum of what `read` gives for each item, `none` where there is no item.
#[inline(always)]
fn sum<T>(items: &[T], none: f32, read: impl Fn(&T) -> f32) -> f32 {
    match items {
        [] => none,
        [only] => read(only),
        items => items.iter().map(read).sum(),
    }
}
