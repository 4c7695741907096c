//! From Keras' order of dimensions to PyTorch's.

use sepal_graph::Tensor;

/// What a stored tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// (kh, kw, in, out) of a convolution, or (in, out) of a dense layer.
    Kernel,
    /// (kh, kw, in, multiplier).
    Depthwise,
    /// Anything that both store alike.
    Plain,
}

/// The same tensor as PyTorch stores it: (out, in, kh, kw), (out, in), and (in·multiplier, 1, kh, kw) for a depthwise
/// kernel.
pub(super) fn to_torch(tensor: Tensor, kind: Kind) -> Result<Tensor, String> {
    let fail = |e: sepal_graph::Error| e.to_string();
    match (kind, tensor.shape()) {
        (Kind::Plain, _) | (Kind::Kernel, [_]) => Ok(tensor),
        (Kind::Kernel, &[i, o]) => {
            let data = permute(tensor.data(), [i, o, 1, 1], [1, 0, 2, 3]);
            Tensor::new(vec![o, i], data).map_err(fail)
        }
        (Kind::Kernel, &[h, w, i, o]) => {
            let data = permute(tensor.data(), [h, w, i, o], [3, 2, 0, 1]);
            Tensor::new(vec![o, i, h, w], data).map_err(fail)
        }
        (Kind::Depthwise, &[h, w, i, m]) => {
            let data = permute(tensor.data(), [h, w, i, m], [2, 3, 0, 1]);
            Tensor::new(vec![i * m, 1, h, w], data).map_err(fail)
        }
        (Kind::Kernel, _) => Err("a kernel has two or four dimensions".to_owned()),
        (Kind::Depthwise, _) => Err("a depthwise kernel has four dimensions".to_owned()),
    }
}

/// Row-major data of shape `dims` with its dimensions in another order.
fn permute(data: &[f32], dims: [usize; 4], order: [usize; 4]) -> Vec<f32> {
    let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
    let [a, b, c, d] = order.map(|i| (dims[i], strides[i]));
    let mut out = Vec::with_capacity(data.len());
    for i in 0..a.0 {
        for j in 0..b.0 {
            for k in 0..c.0 {
                let start = i * a.1 + j * b.1 + k * c.1;
                out.extend((0..d.0).filter_map(|l| data.get(start + l * d.1)));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_turned() {
        let values = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
        let tensor = |shape: &[usize]| Tensor::new(shape.to_vec(), values(shape.iter().product())).unwrap();
        let conv = to_torch(tensor(&[2, 3, 4, 5]), Kind::Kernel).unwrap();
        assert_eq!(conv.shape(), [5, 4, 2, 3]);
        // Output 1, input 2, row 1, column 0 was at ((1·3 + 0)·4 + 2)·5 + 1.
        assert_eq!(conv.data()[((4 + 2) * 2 + 1) * 3], 71.0);
        let depthwise = to_torch(tensor(&[2, 3, 4, 2]), Kind::Depthwise).unwrap();
        assert_eq!(depthwise.shape(), [8, 1, 2, 3]);
        // Input 3, multiplier 1, row 1, column 2 was at ((1·3 + 2)·4 + 3)·2 + 1.
        assert_eq!(depthwise.data()[(3 * 2 + 1) * 6 + 5], 47.0);
        let dense = to_torch(tensor(&[2, 3]), Kind::Kernel).unwrap();
        assert_eq!((dense.shape(), dense.data()), (&[3, 2][..], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..]));
        to_torch(tensor(&[2, 2, 2]), Kind::Kernel).unwrap_err();
        to_torch(tensor(&[2]), Kind::Depthwise).unwrap_err();
    }
}
