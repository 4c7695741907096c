//! Tensors of any rank by their indices; the last dimension varies fastest.

/// A tensor of these dimensions, each element from its index.
pub(super) fn build(dims: &[usize], mut at: impl FnMut(&[usize]) -> f64) -> Vec<f64> {
    let mut index = vec![0; dims.len()];
    let mut values = Vec::with_capacity(dims.iter().product());
    for _ in 0..dims.iter().product() {
        values.push(at(&index));
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    values
}

/// The element at `index` of a tensor of these dimensions.
pub(super) fn at(x: &[f64], dims: &[usize], index: &[usize]) -> f64 {
    assert_eq!(dims.len(), index.len(), "an index of {index:?} into {dims:?}");
    x[index.iter().zip(dims).fold(0, |offset, (i, size)| offset * size + i)]
}

/// The elements of `x` that differ from that at `index` in dimension `axis` only.
pub(super) fn along<'a>(
    x: &'a [f64],
    dims: &'a [usize],
    index: &[usize],
    axis: usize,
) -> impl Iterator<Item = f64> + 'a {
    let mut index = index.to_vec();
    (0..dims[axis]).map(move |i| {
        index[axis] = i;
        at(x, dims, &index)
    })
}
