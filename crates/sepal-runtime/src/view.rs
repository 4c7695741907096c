//! How the dimensions of a value lie in memory.

use sepal_graph::Shape;
use sepal_kernels::Dims;

/// A value for one image: its shape, and which of its dimensions are channels and pixels.
///
/// Inside, every value is a map of channel blocks. The first dimension of `order` is its channels, the others
/// are its pixels, the last one fastest. So transposition moves nothing, and what works along a dimension asks
/// for an order that begins with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) shape: Shape,
    /// Every dimension once.
    pub(crate) order: Vec<usize>,
}

impl View {
    /// The dimensions in the order of the shape: C, H, W.
    pub(crate) fn natural(shape: Shape) -> Self {
        let order = (0..shape.rank()).collect();
        Self { shape, order }
    }

    /// The dimension `axis` as channels, the others in the order of the shape.
    pub(crate) fn leading(shape: Shape, axis: usize) -> Self {
        let order = std::iter::once(axis).chain((0..shape.rank()).filter(|&other| other != axis)).collect();
        Self { shape, order }
    }

    /// The dimension that is the channels.
    pub(crate) fn channels(&self) -> usize {
        self.order.first().copied().unwrap_or(0)
    }

    /// Sizes in memory order.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.shape.dims()[axis]).collect()
    }

    /// Sizes in memory for one image.
    pub(crate) fn dims(&self) -> Dims {
        match *self.sizes() {
            [c, h, ref rest @ ..] => Dims::new(1, c, h, rest.iter().product()),
            [c] => Dims::new(1, c, 1, 1),
            [] => Dims::new(1, 1, 1, 1),
        }
    }

    /// How far apart in memory, counted in elements of an image, neighbours along each dimension are.
    pub(crate) fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.order.len()];
        let mut stride = 1;
        for &axis in self.order.iter().rev() {
            strides[axis] = stride;
            stride *= self.shape.dims()[axis];
        }
        strides
    }

    /// Whether a value of `other` order lies in memory as one of this: dimensions of 1 lie anywhere, but for the
    /// channels.
    pub(crate) fn lies_as(&self, other: &[usize]) -> bool {
        let one = |axis: &usize| self.shape.dims()[*axis] == 1;
        let channels = |order: &[usize]| order.first().copied().filter(|axis| !one(axis));
        let long = |order: &[usize]| order.iter().copied().filter(|axis| !one(axis)).collect::<Vec<_>>();
        channels(&self.order) == channels(other) && long(&self.order) == long(other)
    }

    /// Elements of an image.
    pub(crate) fn elements(&self) -> usize {
        self.shape.elements()
    }
}
