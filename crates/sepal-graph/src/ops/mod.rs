//! The operators, one file each: attributes, output shape, parameters, multiply-adds.
//!
//! To add one: a file with a struct of attributes that implements [`Operator`], a `mod` line and
//! a line in the list below. The compiler then names every place that has to know it.

mod activation;
mod add;
mod avg_pool;
mod batch_norm;
mod conv2d;
mod dropout;
mod flatten;
mod global_avg_pool;
mod input;
mod linear;
mod max_pool;
mod window;

pub use activation::Activation;
pub use add::Add;
pub use avg_pool::AvgPool;
pub use batch_norm::BatchNorm;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use global_avg_pool::GlobalAvgPool;
pub use input::Input;
pub use linear::Linear;
pub use max_pool::MaxPool;

use serde::{Deserialize, Serialize};

use crate::{Error, OpParam, Result, Shape};

/// What every operator knows about itself. Shapes are per image, without the batch dimension;
/// `inputs` always has [`Operator::arity`] entries.
pub trait Operator {
    /// Number of inputs.
    fn arity(&self) -> usize {
        1
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
        _ => Err(Error::Arity { op, expected: 1, actual: inputs.len() }),
    }
}

/// Channels of the first input; the trait promises that there is one.
fn channels(inputs: &[&Shape]) -> usize {
    inputs.first().map_or(1, |shape| shape.channels())
}
