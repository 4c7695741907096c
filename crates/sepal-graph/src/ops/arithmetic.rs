//! Elementwise arithmetic on two values.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Operator, broadcast};
use crate::{Result, Shape};

macro_rules! arithmetic {
    ($($(#[$doc:meta])* $op:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// Two shapes of one rank, which agree or are 1 in every dimension; a 1 is repeated, as in NumPy.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $op {}

        impl Operator for $op {
            fn arity(&self) -> RangeInclusive<usize> {
                2..=2
            }

            fn title(&self, _: &[&Shape]) -> String {
                stringify!($op).into()
            }

            fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
                broadcast::output($kind, inputs)
            }
        }
    )*};
}

arithmetic! {
    /// The sum of two values, as at the end of a residual block.
    Add, "add";
    /// The first value less the second.
    Subtract, "subtract";
    /// The product of two values, as where a squeeze-and-excite gate scales channels (Hu et al. 2018,
    /// arXiv:1709.01507, equation 4).
    Multiply, "multiply";
    /// The first value divided by the second.
    Divide, "divide";
}
