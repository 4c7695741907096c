//! Activations.

use sepal_graph::{Activation, NodeId, Result};

use super::writer::{Writer, float};

/// √(2/π), with which GELU's approximation scales its tanh.
const SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;

/// Writes an activation of `x`.
pub(super) fn write(w: &mut Writer<'_>, id: NodeId, path: &str, act: Activation, input: NodeId) -> Result<()> {
    let x = w.value(input).to_owned();
    match act {
        Activation::Relu => w.node(id, "Relu", vec![x], Vec::new()),
        Activation::Relu6 => clip(w, id, path, x, 0.0, 6.0),
        Activation::Clip { min, max } => clip(w, id, path, x, min, max),
        Activation::Elu { alpha } => w.node(id, "Elu", vec![x], vec![float("alpha", alpha)]),
        Activation::LeakyRelu { slope } => w.node(id, "LeakyRelu", vec![x], vec![float("alpha", slope)]),
        Activation::Prelu => {
            // The slope is broadcast against the input from its last dimension on.
            let shape = w.shape(input)?;
            let mut dims = vec![1; shape.rank()];
            if let Some(first) = dims.first_mut() {
                *first = shape.channels();
            }
            let slope = w.param(path, "weight", &dims)?;
            w.node(id, "PRelu", vec![x, slope], Vec::new());
        }
        Activation::Silu => {
            let gate = w.helper(path, "sigmoid", "Sigmoid", vec![x.clone()], Vec::new());
            w.node(id, "Mul", vec![x, gate], Vec::new());
        }
        Activation::HardSwish => w.node(id, "HardSwish", vec![x], Vec::new()),
        Activation::HardSigmoid => {
            w.node(id, "HardSigmoid", vec![x], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]);
        }
        Activation::Sigmoid => w.node(id, "Sigmoid", vec![x], Vec::new()),
        Activation::Tanh => w.node(id, "Tanh", vec![x], Vec::new()),
        Activation::Gelu => {
            let (root, one, half) = (std::f32::consts::SQRT_2, 1.0, 0.5);
            let scaled = binary(w, path, "scaled", "Div", &x, root);
            let erf = w.helper(path, "erf", "Erf", vec![scaled], Vec::new());
            let sum = binary(w, path, "sum", "Add", &erf, one);
            let product = w.helper(path, "product", "Mul", vec![x, sum], Vec::new());
            let half = w.scalar(path, "half", half);
            w.node(id, "Mul", vec![product, half], Vec::new());
        }
        Activation::GeluTanh => {
            let square = w.helper(path, "square", "Mul", vec![x.clone(), x.clone()], Vec::new());
            let cube = w.helper(path, "cube", "Mul", vec![x.clone(), square], Vec::new());
            let term = binary(w, path, "term", "Mul", &cube, 0.044_715);
            let inner = w.helper(path, "inner", "Add", vec![x.clone(), term], Vec::new());
            let scaled = binary(w, path, "scaled", "Mul", &inner, SQRT_2_OVER_PI);
            let tanh = w.helper(path, "tanh", "Tanh", vec![scaled], Vec::new());
            let sum = binary(w, path, "sum", "Add", &tanh, 1.0);
            let product = w.helper(path, "product", "Mul", vec![x, sum], Vec::new());
            let half = w.scalar(path, "half", 0.5);
            w.node(id, "Mul", vec![product, half], Vec::new());
        }
        Activation::Mish => {
            let softplus = w.helper(path, "softplus", "Softplus", vec![x.clone()], Vec::new());
            let tanh = w.helper(path, "tanh", "Tanh", vec![softplus], Vec::new());
            w.node(id, "Mul", vec![x, tanh], Vec::new());
        }
    }
    Ok(())
}

fn clip(w: &mut Writer<'_>, id: NodeId, path: &str, x: String, min: f32, max: f32) {
    let bounds = [w.scalar(path, "min", min), w.scalar(path, "max", max)];
    let [min, max] = bounds;
    w.node(id, "Clip", vec![x, min, max], Vec::new());
}

/// `x op number`.
fn binary(w: &mut Writer<'_>, path: &str, what: &str, op: &str, x: &str, number: f32) -> String {
    let number = w.scalar(path, &format!("{what}_by"), number);
    w.helper(path, what, op, vec![x.to_owned(), number], Vec::new())
}
