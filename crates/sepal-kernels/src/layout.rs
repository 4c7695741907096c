//! Channel blocks: how activations lie in memory, and the way in and out of that layout.

use std::ops::Range;

use crate::exec::{Exec, Shared};

/// Channels of one block: one cache line of `f32`, one AVX-512 register, two AVX2 registers.
pub const LANES: usize = 16;

/// Size of a batch of feature maps, held as `[blocks][rows][16]`.
///
/// A *row* is one pixel of one image, `rows = n·h·w`, in the order n, h, w. Lanes past `c` in the
/// last block hold finite values without meaning: kernels never let them reach a channel below `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Height in pixels.
    pub h: usize,
    /// Width in pixels.
    pub w: usize,
}

impl Dims {
    /// Feature maps of `n` images, `c` channels, `h`×`w` pixels.
    pub const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Self { n, c, h, w }
    }

    /// Blocks of sixteen channels.
    pub const fn blocks(&self) -> usize {
        self.c.div_ceil(LANES)
    }

    /// Pixels of all images.
    pub const fn rows(&self) -> usize {
        self.n * self.h * self.w
    }

    /// Floats from one channel block to the next.
    ///
    /// An odd number of cache lines: planes whose distance were a multiple of 4 KiB would all fall
    /// into the same cache sets, and a matrix product walks over all planes at once.
    pub const fn plane(&self) -> usize {
        (self.rows() | 1) * LANES
    }

    /// Floats of the whole.
    pub const fn len(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// Whether there is nothing to hold.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Copies `N, C, H, W` floats into channel blocks; lanes past `c` become zero.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn from_nchw(exec: Exec<'_>, dims: Dims, nchw: &[f32], blocked: &mut [f32]) {
    let blocked = Shared::new(blocked);
    each_band(exec, dims, &|part| {
        // SAFETY: an item is a band of an image's block.
        let plane = unsafe { blocked.slice(part.block * dims.plane() + part.row * LANES, part.count * LANES) };
        if part.lanes < LANES {
            plane.fill(0.0);
        }
        for band in pieces(part.count) {
            for lane in 0..part.lanes {
                let from = &nchw[part.at(dims, lane)..][band.clone()];
                let to = &mut plane[band.start * LANES..][..band.len() * LANES];
                for (cell, value) in to[lane..].iter_mut().step_by(LANES).zip(from) {
                    *cell = *value;
                }
            }
        }
    });
}

/// Copies channel blocks into `N, C, H, W` floats.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn to_nchw(exec: Exec<'_>, dims: Dims, blocked: &[f32], nchw: &mut [f32]) {
    let nchw = Shared::new(nchw);
    each_band(exec, dims, &|part| {
        let plane = &blocked[part.block * dims.plane() + part.row * LANES..][..part.count * LANES];
        for band in pieces(part.count) {
            let from = &plane[band.start * LANES..][..band.len() * LANES];
            for lane in 0..part.lanes {
                // SAFETY: an item is a band of an image's block.
                let to = unsafe { nchw.slice(part.at(dims, lane) + band.start, band.len()) };
                for (value, cell) in to.iter_mut().zip(from[lane..].iter().step_by(LANES)) {
                    *value = *cell;
                }
            }
        }
    });
}

/// Pixels that one worker converts at a time.
const BAND: usize = 4096;

/// Some pixels of an image's channel block.
struct Part {
    image: usize,
    block: usize,
    /// Channels that are there.
    lanes: usize,
    /// The first pixel in the image, and the first row.
    pixel: usize,
    row: usize,
    count: usize,
}

impl Part {
    /// The first pixel's place in `N, C, H, W`.
    fn at(&self, dims: Dims, lane: usize) -> usize {
        (self.image * dims.c + self.block * LANES + lane) * dims.h * dims.w + self.pixel
    }
}

/// Calls `work` with all parts of all images, which are items of the pool.
fn each_band(exec: Exec<'_>, dims: Dims, work: &(dyn Fn(Part) + Sync)) {
    let pixels = dims.h * dims.w;
    let bands = pixels.div_ceil(BAND);
    exec.pool.run(dims.n * dims.blocks() * bands, &|item, _| {
        let (image, block, pixel) = (item / bands / dims.blocks(), item / bands % dims.blocks(), item % bands * BAND);
        let (lanes, count) = ((dims.c - block * LANES).min(LANES), BAND.min(pixels - pixel));
        work(Part { image, block, lanes, pixel, row: image * pixels + pixel, count });
    });
}

/// Pieces of `count` pixels whose sixteen channels stay in the first-level cache while they are brought from or to as
/// many places.
fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    const EACH: usize = 128;
    (0..count.div_ceil(EACH)).map(move |piece| piece * EACH..((piece + 1) * EACH).min(count))
}

/// Copies pictures from `N, C, H, W` to dense `N, H, W, C` floats, as [`crate::Input::Pixels`] are read.
///
/// # Panics
/// If a slice is shorter than `dims` asks.
pub fn pixels_from_nchw(exec: Exec<'_>, dims: Dims, nchw: &[f32], pixels: &mut [f32]) {
    let (c, size) = (dims.c, dims.h * dims.w);
    let bands = size.div_ceil(BAND);
    let pixels = Shared::new(pixels);
    exec.pool.run(dims.n * bands, &|item, _| {
        let (image, first) = (item / bands, item % bands * BAND);
        let count = BAND.min(size - first);
        // SAFETY: an item is a band of an image.
        let to = unsafe { pixels.slice((image * size + first) * c, count * c) };
        let plane = |channel: usize| &nchw[(image * c + channel) * size + first..][..count];
        if c == 3 {
            let planes = plane(0).iter().zip(plane(1)).zip(plane(2));
            for (pixel, ((red, green), blue)) in to.chunks_exact_mut(3).zip(planes) {
                pixel.copy_from_slice(&[*red, *green, *blue]);
            }
            return;
        }
        for channel in 0..c {
            for (cell, value) in to[channel..].iter_mut().step_by(c).zip(plane(channel)) {
                *cell = *value;
            }
        }
    });
}

/// Floats on a 64-byte boundary, so that a row of a channel block is one cache line.
pub struct Buffer {
    start: std::ptr::NonNull<f32>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let Some(layout) = Self::layout(len) else {
            return Self { start: std::ptr::NonNull::dangling(), len: 0 };
        };
        // SAFETY: the layout is not empty.
        let start = unsafe { std::alloc::alloc(layout) }.cast::<f32>();
        let Some(start) = std::ptr::NonNull::new(start) else { std::alloc::handle_alloc_error(layout) };
        if layout.align() == HUGE {
            ask_for_huge_pages(start.as_ptr().cast(), layout.size());
        }
        // SAFETY: just allocated, `len` floats; all bits zero is 0.0.
        unsafe { start.as_ptr().write_bytes(0, len) };
        Self { start, len }
    }

    fn layout(len: usize) -> Option<std::alloc::Layout> {
        let align = if len >= 2 * HUGE / size_of::<f32>() { HUGE } else { 64 };
        (len > 0).then(|| {
            std::alloc::Layout::array::<f32>(len)
                .and_then(|layout| layout.align_to(align))
                .expect("a buffer's size fits the address space")
        })
    }
}

/// Bytes of a huge page of x86-64 and of AArch64's usual kernels.
const HUGE: usize = 2 << 20;

/// Asks the system to back this memory with huge pages: a step walks over hundreds of megabytes, and
/// with 4 KiB pages the processor spends a part of its time looking up where they are. A wish: where
/// it is not granted, nothing changes but the speed.
fn ask_for_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the range is this buffer's own, and the advice changes none of its contents.
    unsafe {
        libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

impl Buffer {
    /// Parts of the buffer, some to read and some to write, all at once.
    ///
    /// # Panics
    /// If a part lies outside, or one that is written overlaps any other.
    pub fn views<const R: usize, const W: usize>(
        &mut self,
        reads: [Range<usize>; R],
        writes: [Range<usize>; W],
    ) -> ([&[f32]; R], [&mut [f32]; W]) {
        let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        for part in reads.iter().chain(&writes) {
            assert!(part.start <= part.end && part.end <= self.len, "{part:?} of {} floats", self.len);
        }
        for (index, written) in writes.iter().enumerate() {
            let others = reads.iter().chain(&writes[..index]);
            assert!(others.clone().all(|other| !overlap(written, other)), "{written:?} is written and shared");
        }
        let start = self.start.as_ptr();
        // SAFETY: all parts are inside; the written ones overlap nothing, the others are only read; all
        // borrow `self` uniquely.
        unsafe {
            (
                reads.map(|part| std::slice::from_raw_parts(start.add(part.start), part.len())),
                writes.map(|part| std::slice::from_raw_parts_mut(start.add(part.start), part.len())),
            )
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len) {
            // SAFETY: allocated in `zeroed` with this very layout.
            unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `start` points to `len` initialised floats (or is dangling and `len` is 0).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and `self` is borrowed uniquely.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

// SAFETY: a buffer owns its floats, like a `Vec<f32>`.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_back_is_the_same_picture() {
        let pool = crate::pool::ThreadPool::new(3).unwrap();
        let exec = Exec::new(&pool);
        let sizes = [[2, 3, 4, 5], [1, 16, 1, 1], [3, 35, 7, 1], [2, 17, 19, 23], [2, 19, 70, 80]];
        for [n, c, h, w] in sizes {
            let dims = Dims::new(n, c, h, w);
            let nchw: Vec<f32> = (0..dims.n * dims.c * dims.h * dims.w).map(|i| i as f32).collect();
            let mut blocked = vec![f32::NAN; dims.len()];
            from_nchw(exec, dims, &nchw, &mut blocked);
            let mut back = vec![0.0; nchw.len()];
            to_nchw(exec, dims, &blocked, &mut back);
            assert_eq!(back, nchw);
        }
    }

    #[test]
    fn pixels_are_the_same_picture_too() {
        let pool = crate::pool::ThreadPool::new(3).unwrap();
        for dims in [Dims::new(2, 3, 70, 80), Dims::new(3, 1, 5, 1), Dims::new(1, 7, 3, 3)] {
            let nchw: Vec<f32> = (0..dims.n * dims.c * dims.h * dims.w).map(|i| i as f32).collect();
            let mut pixels = vec![f32::NAN; nchw.len()];
            pixels_from_nchw(Exec::new(&pool), dims, &nchw, &mut pixels);
            let size = dims.h * dims.w;
            for (at, value) in pixels.into_iter().enumerate() {
                let (image, pixel, channel) = (at / dims.c / size, at / dims.c % size, at % dims.c);
                assert_eq!(value, nchw[(image * dims.c + channel) * size + pixel]);
            }
        }
    }

    #[test]
    #[cfg_attr(panic = "abort", ignore = "a panic ends the program")]
    fn views_are_apart_or_refused() {
        let mut buffer = Buffer::zeroed(100);
        let (reads, writes) = buffer.views([0..10, 5..20], [20..30, 30..100]);
        assert_eq!((reads[1].len(), writes[1].len()), (15, 70));
        for (reads, writes) in
            [([0..10, 0..0], [9..20, 30..40]), ([0..10, 0..0], [20..31, 30..40]), ([0..101, 0..0], [0..0, 0..0])]
        {
            let refused = std::panic::catch_unwind(|| {
                Buffer::zeroed(100).views(reads.clone(), writes.clone());
            });
            assert!(refused.is_err());
        }
    }
}
