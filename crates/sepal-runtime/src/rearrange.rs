//! Maps from the elements of one value to those of another, made while compiling.

use sepal_kernels::Dims;
use sepal_kernels::arrange::Gather;

use crate::view::View;

/// Marks an element that comes from nowhere.
const NOWHERE: u32 = u32::MAX;

/// Which element of an image each element of another is, both counted as they lie in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rearrange {
    from: Dims,
    to: Dims,
    source: Vec<u32>,
    /// The value of elements that come from nowhere.
    outside: f32,
}

impl Rearrange {
    /// A value of `from` as one of `to`: `source` turns the position of an element of `to`, an index for each
    /// dimension, into that of the element of `from` that it is, or says that there is none.
    ///
    /// Shapes have at most 2³¹ elements, so that a position fits.
    pub(crate) fn new(
        from: &View,
        to: &View,
        outside: f32,
        mut source: impl FnMut(&[usize], &mut [usize]) -> bool,
    ) -> Self {
        let strides = from.strides();
        let sizes = to.sizes();
        let mut position = vec![0; to.order.len()];
        let mut read = vec![0; from.order.len()];
        let mut sources = Vec::with_capacity(to.elements());
        for _ in 0..to.elements() {
            let is_inside = source(&position, &mut read);
            let at: usize = read.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
            sources.push(if is_inside { at as u32 } else { NOWHERE });
            for (&axis, &size) in to.order.iter().zip(&sizes).rev() {
                position[axis] += 1;
                if position[axis] < size {
                    break;
                }
                position[axis] = 0;
            }
        }
        Self { from: from.dims(), to: to.dims(), source: sources, outside }
    }

    /// The same values, counted in the order of the shapes, under another shape.
    pub(crate) fn reshape(from: &View, to: &View) -> Self {
        let (from_dims, to_dims) = (from.shape.dims().to_vec(), to.shape.dims().to_vec());
        Self::new(from, to, 0.0, |position, read| {
            let mut at = position.iter().zip(&to_dims).fold(0, |at, (index, size)| at * size + index);
            for (index, size) in read.iter_mut().zip(&from_dims).rev() {
                *index = at % size;
                at /= size;
            }
            true
        })
    }

    /// Dimensions of 1 repeated where the other value's are larger.
    pub(crate) fn broadcast(from: &View, to: &View) -> Self {
        let dims = from.shape.dims().to_vec();
        Self::new(from, to, 0.0, |position, read| {
            for ((index, &position), &size) in read.iter_mut().zip(position).zip(&dims) {
                *index = if size == 1 { 0 } else { position };
            }
            true
        })
    }

    /// Whether nothing moves.
    pub(crate) fn is_identity(&self) -> bool {
        self.from.c == self.to.c && self.is_flat()
    }

    /// Whether it is a map as a vector, in the order of channels and pixels.
    pub(crate) fn is_flattening(&self) -> bool {
        self.to.h * self.to.w == 1 && self.is_flat()
    }

    /// Whether the elements keep their order and number.
    fn is_flat(&self) -> bool {
        self.from.c * self.from.h * self.from.w == self.source.len()
            && self.source.iter().enumerate().all(|(at, &source)| at == source as usize)
    }

    /// This after `first`; none where both have elements from nowhere, but of different values.
    pub(crate) fn after(&self, first: &Self) -> Option<Self> {
        let leaves = |map: &Self| map.source.contains(&NOWHERE);
        let outside = match (leaves(first), leaves(self)) {
            (true, true) if first.outside != self.outside => return None,
            (true, _) => first.outside,
            (false, _) => self.outside,
        };
        let through = |&at: &u32| first.source.get(at as usize).copied().unwrap_or(NOWHERE);
        Some(Self { from: first.from, to: self.to, source: self.source.iter().map(through).collect(), outside })
    }

    /// Sizes of what it reads, for one image.
    pub(crate) fn from(&self) -> Dims {
        self.from
    }

    /// Its kernel.
    pub(crate) fn gather(&self) -> Gather {
        Gather::new(self.from, self.to, self.outside, |at| {
            self.source.get(at).filter(|&&source| source != NOWHERE).map(|&source| source as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sepal_graph::Shape;

    fn view(dims: &[usize], order: &[usize]) -> View {
        View { shape: Shape::new(dims.to_vec()).unwrap(), order: order.to_vec() }
    }

    #[test]
    fn the_same_order_is_nothing_to_do() {
        let tokens = view(&[3, 4, 5], &[2, 0, 1]);
        assert!(Rearrange::reshape(&tokens, &tokens).is_identity());
        // Pixels of channels as tokens of features.
        assert!(Rearrange::reshape(&tokens, &view(&[12, 5], &[1, 0])).is_identity());
        assert!(!Rearrange::reshape(&tokens, &view(&[12, 5], &[0, 1])).is_identity());
        assert!(tokens.lies_as(&[2, 0, 1]) && !tokens.lies_as(&[0, 1, 2]));
        assert!(view(&[5, 1, 1], &[0, 2, 1]).lies_as(&[0, 1, 2]) && !view(&[5, 1, 1], &[1, 0, 2]).lies_as(&[0, 1, 2]));
    }

    #[test]
    fn a_map_as_a_vector_is_told_apart() {
        let map = view(&[3, 4, 5], &[0, 1, 2]);
        let vector = view(&[60], &[0]);
        assert!(Rearrange::reshape(&map, &vector).is_flattening());
        assert!(!Rearrange::reshape(&view(&[3, 4, 5], &[2, 0, 1]), &vector).is_flattening());
    }

    #[test]
    fn one_after_the_other_is_one() {
        // The channels of two groups, shuffled.
        let [map, groups] = [view(&[6, 2, 2], &[0, 1, 2]), view(&[2, 3, 2, 2], &[0, 1, 2, 3])];
        let swapped = view(&[3, 2, 2, 2], &[1, 0, 2, 3]);
        let shuffled = Rearrange::reshape(&swapped, &map).after(&Rearrange::reshape(&map, &groups)).unwrap();
        let channels: Vec<u32> = shuffled.source.iter().step_by(4).map(|at| at / 4).collect();
        assert_eq!(channels, [0, 3, 1, 4, 2, 5]);
        let pad = |outside| {
            Rearrange::new(&map, &map, outside, |position, read| {
                read.copy_from_slice(position);
                position[0] > 0
            })
        };
        assert!(pad(1.0).after(&pad(2.0)).is_none());
        assert_eq!(pad(1.0).after(&pad(1.0)), Some(pad(1.0)));
        assert!(pad(1.0).after(&Rearrange::reshape(&map, &map)).is_some());
    }
}
