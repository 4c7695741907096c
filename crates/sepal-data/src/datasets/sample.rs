//! The embedded sample: 5,000 training and 1,000 test pictures of Fashion-MNIST.

use super::idx::{self, Source};
use crate::dataset::Splits;
use crate::error::Result;

/// The class names of Fashion-MNIST in the order of its labels.
pub const SAMPLE_CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

macro_rules! asset {
    ($name:literal) => {
        (format!("sample/{}", $name), include_bytes!(concat!("../../assets/fashion-mnist-sample/", $name)).as_slice())
    };
}

/// The sample that ships with the project: Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; MIT
/// licence), the first 500 training and 100 test pictures of each class, 28×28, grey. It has a training
/// and a test set and no validation set.
///
/// # Errors
/// None in practice; the type is that of every reader.
pub fn sample() -> Result<Splits> {
    let train = Source { images: asset!("train-images-idx3-ubyte.gz"), labels: asset!("train-labels-idx1-ubyte.gz") };
    let test = Source { images: asset!("t10k-images-idx3-ubyte.gz"), labels: asset!("t10k-labels-idx1-ubyte.gz") };
    let names = SAMPLE_CLASSES.map(String::from).to_vec();
    idx::splits("embedded sample", idx::read(train)?, Some(idx::read(test)?), Some(names))
}
