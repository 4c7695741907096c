//! Norms after shared weights, and sums of depthwise convolutions: what is linear in a kernel.

use sepal_graph::{Activation, Builder, Conv2d, GatedSum, NodeId, Result};

use super::{paths, program};
use crate::ir::{Kind, Program};

#[test]
fn a_norm_after_shared_weights_runs_in_the_epilogue_before_sum_and_activation() {
    let filters = |path: &'static str, conv: Conv2d| {
        let program = program(|b, x| {
            let y = b.conv(path, x, conv)?;
            let y = b.batch_norm("bn", y)?;
            let y = b.add("add", y, x)?;
            b.activation("act", y, Activation::Relu)
        });
        match &program.steps[..] {
            [step] => match &step.kind {
                Kind::Conv(filters) => Some(filters.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    for conv in [Conv2d::pointwise(4), Conv2d::standard(4, 3).same().bias(true)] {
        let filters = filters("shared", conv).unwrap();
        assert!(filters.scale.is_some() && filters.bias.is_some() && filters.add);
        assert_eq!(filters.act.function, Some(Activation::Relu));
    }
    // Lowered without folding, which is what weights of its own would have had.
    assert_eq!(filters("own", Conv2d::pointwise(4)), None);
    assert_eq!(filters("shared", Conv2d::depthwise(4, 3).same()), None);
}

/// A gated sum of depthwise convolutions of these, of `x` or what `from` makes of it.
fn gated(convs: &[Conv2d], from: impl FnOnce(&mut Builder, NodeId) -> Result<NodeId>) -> Program {
    program(|b, x| {
        let gate = b.global_avg_pool("pool", x)?;
        let gate = b.linear("gate", gate, convs.len())?;
        let other = from(b, x)?;
        let mut terms = vec![gate];
        for (index, conv) in convs.iter().enumerate() {
            let x = if index == 0 { other } else { x };
            terms.push(b.conv(&format!("depthwise{index}"), x, conv.clone())?);
        }
        let x = b.node("sum", GatedSum {}, &terms)?;
        b.activation("act", x, Activation::Relu)
    })
}

#[test]
fn depthwise_convolutions_of_one_value_are_mixed() {
    let same = Conv2d::depthwise(4, 3).same();
    let [one, other] = [same.clone(), same.clone().bias(true)];
    let alike = gated(&[one.clone(), other.clone(), one.clone()], |_, x| Ok(x));
    assert_eq!(paths(&alike), ["pool", "gate", "sum"]);
    let Kind::Mixed(mixed) = &alike.steps[2].kind else { panic!("{:?}", alike.steps[2]) };
    assert_eq!(mixed.kernels.iter().map(|(_, bias)| bias.is_some()).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(mixed.act.function, Some(Activation::Relu));

    // Of another size, or of another value.
    let sizes = gated(&[one.clone(), Conv2d::depthwise(4, 5).same()], |_, x| Ok(x));
    assert!(sizes.steps.iter().any(|step| step.kind == Kind::GatedSum));
    let values = gated(&[one, other], |b, x| b.activation("before", x, Activation::Relu));
    assert!(values.steps.iter().any(|step| step.kind == Kind::GatedSum));
    // What something else reads, too.
    let read = program(|b, x| {
        let gate = b.global_avg_pool("pool", x)?;
        let gate = b.linear("gate", gate, 1)?;
        let y = b.conv("depthwise", x, same.clone())?;
        let sum = b.node("sum", GatedSum {}, &[gate, y])?;
        b.add("add", sum, y)
    });
    assert!(read.steps.iter().any(|step| step.kind == Kind::GatedSum));
}
