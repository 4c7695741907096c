//! The operators, one file each: attributes, output shape, parameters, multiply-adds.
//!
//! To add one: a file with a struct of attributes that implements [`Operator`], a `mod` line and
//! a line in the list below. The compiler then names every place that has to know it.

mod activation;
mod arithmetic;
mod avg_pool;
mod batch_norm;
mod broadcast;
mod concat;
mod constant;
mod conv2d;
mod conv_transpose2d;
mod dropout;
mod flatten;
mod gated_sum;
mod global_avg_pool;
mod input;
mod interpolate;
mod layer_norm;
mod linear;
mod max_pool;
mod mean;
mod pad;
mod reshape;
mod slice;
mod softmax;
mod transpose;
mod window;

pub use activation::Activation;
pub use arithmetic::{Add, Divide, Multiply, Subtract};
pub use avg_pool::AvgPool;
pub use batch_norm::BatchNorm;
pub use concat::Concat;
pub use constant::Constant;
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use gated_sum::GatedSum;
pub use global_avg_pool::GlobalAvgPool;
pub use input::Input;
pub use interpolate::{Coordinates, Interpolate, Interpolation, ResizeTo, Rounding};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use max_pool::MaxPool;
pub use mean::Mean;
pub use pad::{Pad, PadMode};
pub use reshape::Reshape;
pub use slice::Slice;
pub use softmax::Softmax;
pub use transpose::Transpose;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Error, OpParam, Result, Shape};

/// What every operator knows about itself. Shapes are per image, without the batch dimension;
/// `inputs` always has as many entries as
/// [`Operator::arity`] allows.
pub trait Operator {
    /// How many inputs it takes.
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }

    /// Name for people, such as `Conv2d (depthwise)`.
    fn title(&self, inputs: &[&Shape]) -> String;

    /// Checks the attributes on their own.
    ///
    /// # Errors
    /// An attribute outside its range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Shape of the output.
    ///
    /// # Errors
    /// The operator cannot take inputs of these shapes. Never panics, whatever the attributes.
    fn output(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Parameters, for inputs that [`Operator::output`] accepts.
    fn params(&self, inputs: &[&Shape]) -> Vec<OpParam> {
        let _ = inputs;
        Vec::new()
    }

    /// Multiply-adds for one image, counted for convolutions and linear layers only. `None` if
    /// the count overflows.
    fn macs(&self, inputs: &[&Shape], output: &Shape) -> Option<u64> {
        let _ = (inputs, output);
        Some(0)
    }
}

macro_rules! operators {
    ($($(#[$doc:meta])* $op:ident = $kind:literal,)*) => {
        /// An operator with its attributes. Serialised as `{"conv2d": {…}}`.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Op {
            $($(#[$doc])* #[serde(rename = $kind)] $op($op),)*
        }

        impl Op {
            /// The operator's name in files, such as `conv2d`.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$op(_) => $kind,)*
                }
            }

            /// What the operator knows about itself.
            #[must_use]
            pub fn operator(&self) -> &dyn Operator {
                match self {
                    $(Self::$op(op) => op,)*
                }
            }
        }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        })*
    };
}

operators! {
    /// An input of the network.
    Input = "input",
    /// A convolution: standard, grouped, depthwise or pointwise.
    Conv2d = "conv2d",
    /// Batch normalisation.
    BatchNorm = "batch_norm",
    /// A pointwise non-linearity.
    Activation = "activation",
    /// The sum of two values.
    Add = "add",
    /// The difference of two values.
    Subtract = "subtract",
    /// The product of two values.
    Multiply = "multiply",
    /// The quotient of two values.
    Divide = "divide",
    /// A value that the network carries.
    Constant = "constant",
    /// Values one after the other.
    Concat = "concat",
    /// A part of a value.
    Slice = "slice",
    /// Values added around another.
    Pad = "pad",
    /// A transposed convolution.
    ConvTranspose2d = "conv_transpose2d",
    /// Interpolation to another size.
    Interpolate = "interpolate",
    /// The same values under another shape.
    Reshape = "reshape",
    /// Dimensions in another order.
    Transpose = "transpose",
    /// Softmax along an axis.
    Softmax = "softmax",
    /// Mean over dimensions.
    Mean = "mean",
    /// Layer normalisation.
    LayerNorm = "layer_norm",
    /// A sum weighted by a gate.
    GatedSum = "gated_sum",
    /// Maximum over a window.
    MaxPool = "max_pool",
    /// Mean over a window.
    AvgPool = "avg_pool",
    /// Mean over height and width.
    GlobalAvgPool = "global_avg_pool",
    /// A fully connected layer.
    Linear = "linear",
    /// Dropout, the identity outside training.
    Dropout = "dropout",
    /// A map as a vector.
    Flatten = "flatten",
}

/// The only input, as channels, height and width.
fn map_input(op: &'static str, inputs: &[&Shape]) -> Result<[usize; 3]> {
    let shape = only(op, inputs)?;
    shape.as_chw().ok_or_else(|| Error::InputShape {
        op,
        expected: "a feature map C×H×W".into(),
        actual: shape.to_string(),
    })
}

/// The only input.
fn only<'a>(op: &'static str, inputs: &[&'a Shape]) -> Result<&'a Shape> {
    match inputs {
        [shape] => Ok(shape),
        _ => Err(Error::Arity { op, expected: 1..=1, actual: inputs.len() }),
    }
}

/// Channels of the first input; the trait promises that there is one.
fn channels(inputs: &[&Shape]) -> usize {
    inputs.first().map_or(1, |shape| shape.channels())
}

/// Size of the last dimension of the first input; the trait promises that there is one.
fn features(inputs: &[&Shape]) -> usize {
    inputs.first().and_then(|shape| shape.dims().last()).copied().unwrap_or(1)
}

/// The size of a dimension that an attribute names.
fn axis_of(attribute: &'static str, axis: usize, shape: &Shape) -> Result<usize> {
    shape.dims().get(axis).copied().ok_or_else(|| Error::Attribute {
        attribute,
        value: axis.to_string(),
        expected: format!("a dimension of {shape}, counted from 0"),
    })
}
