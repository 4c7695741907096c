//! Windows that slide over maps.

/// Height, width and channels from a shape without batch.
pub(super) fn chw(shape: &[usize]) -> [usize; 3] {
    shape.try_into().unwrap_or_else(|_| panic!("{shape:?} is no C×H×W"))
}

/// Number of positions of a window of which `covered` pixels lie apart, over `padded` pixels.
pub(super) fn positions(padded: usize, covered: usize, stride: usize) -> usize {
    (padded - covered) / stride + 1
}

/// The pixel at `padded` of a padded row of `size` pixels; `None` inside the padding.
pub(super) fn unpad(padded: usize, before: usize, size: usize) -> Option<usize> {
    padded.checked_sub(before).filter(|i| *i < size)
}

/// Reduces the pixels that each window covers inside the map, given them and the area of the
/// window within the padded map.
pub(super) fn pool(
    x: &[f64],
    shape: &[usize],
    batch: usize,
    (kernel, stride, padding): ([usize; 2], [usize; 2], [usize; 4]),
    reduce: impl Fn(&[f64], usize) -> f64,
) -> Vec<f64> {
    let [channels, h, w] = chw(shape);
    let [top, left, bottom, right] = padding;
    let out_h = positions(h + top + bottom, kernel[0], stride[0]);
    let out_w = positions(w + left + right, kernel[1], stride[1]);
    let mut y = Vec::with_capacity(batch * channels * out_h * out_w);
    for map in 0..batch * channels {
        for oy in 0..out_h {
            for ox in 0..out_w {
                let mut inside = Vec::new();
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        let iy = unpad(oy * stride[0] + ky, top, h);
                        let ix = unpad(ox * stride[1] + kx, left, w);
                        if let (Some(iy), Some(ix)) = (iy, ix) {
                            inside.push(x[(map * h + iy) * w + ix]);
                        }
                    }
                }
                y.push(reduce(&inside, kernel[0] * kernel[1]));
            }
        }
    }
    y
}
