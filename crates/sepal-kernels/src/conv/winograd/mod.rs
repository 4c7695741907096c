//! Winograd convolution: 3×3 filters of stride 1 with fewer multiplications (Lavin and Gray 2016, arXiv:1509.09308,
//! section 4).
//!
//! Pictures are cut into tiles of m×m outputs, which read (m + 2)×(m + 2) inputs. A transform brings these to as many
//! *frequencies*, where the convolution is a product over channels, one for each frequency, on the tiles as rows; another
//! transform brings the products to the outputs. For m = 2 and m = 4 that takes 4 and 2¼ multiplications per
//! output and channel instead of 9, and weights of 16/9 and 4 times the size. Of 64 to 512 channels of normally distributed
//! values, tiles of 4×4 have three to five times the error of the direct convolution (about 1e-5 of the result's standard
//! deviation at most), tiles of 2×2 about the same.
//!
//! Inputs are transformed a block of tiles at a time. Of a few tiles and many channels, all are transformed first, by
//! all workers, and the products are cut by panels of filters.

mod grid;
mod pack;
mod run;
mod transform;

use super::plan::{Cut, staged_plane};
use crate::exec::{Exec, Shared, per_worker};
use crate::geometry::{Conv, Epilogue};
use crate::layout::{Dims, LANES};
use grid::Grid;

/// Outputs that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// F(2×2, 3×3)
    Two,
    /// F(4×4, 3×3)
    Four,
}

impl Tile {
    /// Outputs on a side.
    pub const fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Products of a tile, for one channel and filter.
    pub const fn frequencies(self) -> usize {
        (self.outputs() + 2) * (self.outputs() + 2)
    }
}

/// Whether a convolution can be computed so: 3×3, stride 1, one group; any dilation.
pub fn can(conv: &Conv) -> bool {
    conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.groups == 1
}

/// Transformed weights of at most this many floats stay in a second-level cache.
const CACHED: usize = 256 * 1024;
/// Tiles of a picture that keep the arithmetic units busy ...
const FEW: usize = 4;
/// ... and that do so while weights come from memory.
const MANY: usize = 12;
/// Channels that are worth the transforms.
const CHANNELS: usize = 8;

/// The tile with which [`forward`] is fastest, if it is faster than the direct convolution. It depends on the sizes of one
/// image alone, so that an image is computed alike in any batch.
pub fn applies(conv: &Conv) -> Option<Tile> {
    if !can(conv) || conv.input.c.min(conv.output.c) < CHANNELS {
        return None;
    }
    let Dims { h, w, .. } = conv.output;
    let one = Conv { input: Dims { n: 1, ..conv.input }, output: Dims { n: 1, ..conv.output }, ..*conv };
    [Tile::Four, Tile::Two].into_iter().find(|&tile| {
        let tiles = Grid::new(&one, tile.outputs()).tiles();
        let is_full = tiles * tile.outputs() * tile.outputs() <= 2 * h * w;
        is_full && tiles >= if packed_len(&one, tile) <= CACHED { FEW } else { MANY }
    })
}

/// Floats of weights packed for [`forward`].
pub fn packed_len(conv: &Conv, tile: Tile) -> usize {
    check(conv);
    conv.output.blocks() * tile.frequencies() * conv.input.c * LANES
}

/// Transforms weights of `O, I, 3, 3`, in double precision, and packs them for [`forward`].
///
/// # Panics
/// If a slice is shorter than the convolution asks, or it is none that can be computed so.
pub fn pack(exec: Exec<'_>, conv: &Conv, tile: Tile, weight: &[f32], packed: &mut [f32]) {
    assert!(weight.len() >= conv.weight_len() && packed.len() >= packed_len(conv, tile));
    match tile {
        Tile::Two => pack::pack::<transform::Two, 2, 4>(exec, conv, weight, packed),
        Tile::Four => pack::pack::<transform::Four, 4, 6>(exec, conv, weight, packed),
    }
}

/// Floats of scratch that [`forward`] needs on `threads` workers.
pub fn forward_scratch(conv: &Conv, tile: Tile, threads: usize) -> usize {
    check(conv);
    Cuts::new(conv, tile).scratch(threads)
}

/// The convolution of `x`, both in channel blocks, through `epilogue`.
///
/// `packed` comes from [`pack`] for the same tile. An image's result has the same bits in any batch.
///
/// # Panics
/// If a slice is shorter than the convolution asks, or it is none that can be computed so.
pub fn forward(
    exec: Exec<'_>,
    conv: &Conv,
    tile: Tile,
    x: &[f32],
    packed: &[f32],
    epilogue: Epilogue<'_>,
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let cuts = Cuts::new(conv, tile);
    assert!(x.len() >= conv.input.len() && out.len() >= conv.output.len());
    assert!(packed.len() >= packed_len(conv, tile));
    assert!(scratch.len() >= cuts.scratch(exec.pool.threads()), "scratch of {}", scratch.len());
    assert!(epilogue.fits(&conv.output));
    assert!(super::is_long_enough(epilogue.act, &conv.output));
    let (factors, scratch) = scratch.split_at_mut(cuts.together());
    let job = run::Job {
        cuts,
        conv,
        x,
        packed,
        epilogue,
        out: Shared::new(out),
        factors: Shared::new(factors),
        scratch: Shared::new(scratch),
    };
    match tile {
        Tile::Two => job.run::<transform::Two, 2, 4>(exec),
        Tile::Four => job.run::<transform::Four, 4, 6>(exec),
    }
}

fn check(conv: &Conv) {
    conv.check();
    assert!(can(conv), "no convolution for Winograd's algorithm: {conv:?}");
}

/// Floats of a worker's transformed inputs, which share a second-level cache with weights and products ...
const STAGED: usize = 64 * 1024;
/// ... and tiles that amortise the loads of weights, should they be more: from memory, and from that cache.
const TILES: [usize; 2] = [28, 16];
/// Blocks of tiles that keep a handful of workers busy.
const ITEMS: usize = 8;
/// Tiles of one product at most where the inputs of all are transformed together.
const ROWS: usize = 64;

/// How a convolution is cut.
#[derive(Clone, Copy)]
struct Cuts {
    grid: Grid,
    frequencies: usize,
    /// Blocks of inputs and of outputs.
    blocks: usize,
    panels: usize,
    tiles: Cut,
    /// Whether the inputs of all tiles are transformed before the first product.
    is_together: bool,
}

impl Cuts {
    fn new(conv: &Conv, tile: Tile) -> Self {
        check(conv);
        let grid = Grid::new(conv, tile.outputs());
        let (frequencies, blocks, panels) = (tile.frequencies(), conv.input.blocks(), conv.output.blocks());
        let total = grid.tiles();
        let fits = (STAGED / (frequencies * blocks * LANES).max(1)).clamp(TILES[0], 192);
        // Where every worker can keep the weights, blocks may be smaller and each be one worker's.
        let is_cached = packed_len(conv, tile) <= CACHED;
        let most = if is_cached { fits.min((total / ITEMS).max(TILES[1])) } else { fits };
        let tiles = Cut::new(total, most).rounded(4);
        let is_together = tiles.pieces() < if is_cached { ITEMS / 2 } else { ITEMS };
        let tiles = if is_together { Cut::new(total, (total * panels / 4).clamp(8, ROWS)) } else { tiles };
        Self { grid, frequencies, blocks, panels, tiles, is_together }
    }

    /// Floats from one frequency to the next, of inputs and of products: odd numbers of cache lines, as planes are apart,
    /// because a tile's frequencies are written and read one after the other.
    fn strides(&self) -> [usize; 2] {
        let plane = staged_plane(self.tiles.size);
        [staged_plane(self.blocks * plane / LANES), plane]
    }

    /// Floats of a block's transformed inputs.
    fn block(&self) -> usize {
        self.frequencies * self.strides()[0]
    }

    /// Floats of what all workers share.
    fn together(&self) -> usize {
        if self.is_together { self.tiles.pieces() * self.block() } else { 0 }
    }

    /// Floats of a worker's scratch: transformed inputs where they are its own, and products.
    fn each(&self) -> usize {
        let own = if self.is_together { 0 } else { self.block() };
        own + self.frequencies * self.strides()[1]
    }

    fn scratch(&self, threads: usize) -> usize {
        self.together() + per_worker(self.each(), threads)
    }
}
