//! Where every value lies, and for how many images at a time.

use crate::arena::{self, Layout, Request};
use crate::boundary::takes_pixels;
use crate::error::{Result, RuntimeError};
use crate::ir::{Program, ValueId};
use crate::task::Place;

/// Activations that are worth keeping in cache, in floats: 1 MiB, the second cache of one processor core.
///
/// Layer after layer over a large batch takes every activation out to memory and back. So a batch
/// is computed in groups of images that stay below this, if need be image by image; small images
/// still come in groups large enough to fill the kernels' tiles. A session needs memory for one
/// group of each worker.
const CACHED: usize = 1 << 18;

/// The most floats one allocation can have.
const MAX_FLOATS: usize = isize::MAX as usize / size_of::<f32>() - 16;

/// Every value's place in one arena.
pub(crate) struct Placement {
    /// In the order of the program's values; those that are never written have none that counts.
    pub(crate) places: Vec<Place>,
    /// Images computed at a time.
    pub(crate) group: usize,
    /// Floats of the arena.
    pub(crate) arena: usize,
}

impl Placement {
    /// The places for runs of up to `batch` images.
    ///
    /// # Errors
    /// The values of one image do not fit the address space.
    pub(crate) fn new(program: &Program, batch: usize) -> Result<Self> {
        let homes: Vec<(ValueId, usize)> = (0..program.values.len()).map(|value| program.home(value)).collect();
        let mut places: Vec<Place> = (program.values.iter().zip(&homes))
            .map(|(value, &(_, block))| Place { dims: value.dims(), offset: 0, block, pixels: false })
            .collect();
        places[program.input].pixels = takes_pixels(program);
        for (place, value) in places.iter().zip(&program.values) {
            // Padded to whole blocks, and one row more to make the plane odd.
            let channels = place.dims.c.next_multiple_of(16);
            let floats = (place.dims.h * place.dims.w + 1).checked_mul(channels);
            if floats.is_none_or(|floats| floats > MAX_FLOATS) {
                return Err(RuntimeError::TooLarge { path: value.path.clone(), shape: value.view.shape.clone() });
            }
        }
        let alive = lifetimes(program, &homes);
        let each = layout(&places, &alive, 1).total;
        let most = (CACHED / each.max(1)).clamp(1, batch);
        // Groups of equal size.
        let group = batch.div_ceil(batch.div_ceil(most));
        let Layout { offsets, total } = layout(&places, &alive, group);
        if total > MAX_FLOATS {
            return Err(RuntimeError::ArenaTooLarge);
        }
        for (place, (home, _)) in places.iter_mut().zip(homes) {
            place.offset = offsets[home];
        }
        Ok(Self { places, group, arena: total })
    }
}

/// The moments between which the memory of each value is alive; nothing for those that are never written, or lie
/// in the memory of others.
///
/// The input is written before step 0, which is moment 0; the output is read after the last step.
fn lifetimes(program: &Program, homes: &[(ValueId, usize)]) -> Vec<Option<(usize, usize)>> {
    let mut alive = vec![None; program.values.len()];
    let mut touch = |value: ValueId, moment: usize| {
        let (_, last) = alive[homes[value].0].get_or_insert((moment, moment));
        *last = moment;
    };
    touch(program.input, 0);
    for (index, step) in program.steps.iter().enumerate() {
        step.inputs.iter().chain([&step.output]).for_each(|&value| touch(value, index + 1));
    }
    touch(program.output, program.steps.len() + 1);
    alive
}

/// The arena for `n` images. Values that are never written take no room.
fn layout(places: &[Place], alive: &[Option<(usize, usize)>], n: usize) -> Layout {
    let requests: Vec<Request> = (places.iter().zip(alive))
        .map(|(place, alive)| match *alive {
            Some((first, last)) => Request { len: place.len(n), first, last },
            None => Request { len: 0, first: 0, last: 0 },
        })
        .collect();
    arena::plan(&requests)
}
