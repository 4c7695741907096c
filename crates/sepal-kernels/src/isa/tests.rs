use super::{Isa, Kernel, Level, Vector, exp};

/// Applies every vector operation to sixteen lanes, as a block and as registers.
struct Everything<'a>(&'a [f32; 16], &'a [f32; 16]);

#[inline(always)]
fn apply<I: Isa, V: Vector<I>>(isa: I, a: V, b: V) -> [V; 12] {
    [
        a.add(isa, b),
        a.sub(isa, b),
        a.mul(isa, b),
        a.div(isa, b),
        a.min(isa, b),
        a.max(isa, b),
        a.where_gt(isa, b, V::splat(isa, 1.0), V::splat(isa, -1.0)),
        a.round(isa),
        a.round(isa).exp2_int(isa),
        a.mul(isa, a).sqrt(isa),
        a.mul_add(isa, V::splat(isa, 2.0), b),
        exp(isa, a),
    ]
}

impl Kernel for Everything<'_> {
    type Output = [[[f32; 16]; 12]; 2];

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let mut out = [[[0.0; 16]; 12]; 2];
        // SAFETY: all arrays have sixteen floats, and every register of WIDTH lanes stays inside.
        unsafe {
            let [a, b] = [self.0, self.1].map(|lanes| I::Block::load(isa, lanes.as_ptr()));
            for (value, to) in apply(isa, a, b).into_iter().zip(&mut out[0]) {
                value.store(isa, to.as_mut_ptr());
            }
            for at in (0..16).step_by(I::Reg::WIDTH) {
                let [a, b] = [self.0, self.1].map(|lanes| I::Reg::load(isa, lanes.as_ptr().add(at)));
                for (value, to) in apply(isa, a, b).into_iter().zip(&mut out[1]) {
                    value.store(isa, to.as_mut_ptr().add(at));
                }
            }
        }
        out
    }
}

#[test]
fn every_level_computes_what_plain_rust_does() {
    let a = std::array::from_fn(|lane| (lane as f32 - 7.3) * 1.7);
    let b = std::array::from_fn(|lane| (5.1 - lane as f32) * 0.9);
    let expected = |op: usize, lane: usize| -> f32 {
        let (a, b): (f32, f32) = (a[lane], b[lane]);
        match op {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a / b,
            4 => a.min(b),
            5 => a.max(b),
            6 => [-1.0, 1.0][usize::from(a > b)],
            7 => a.round_ties_even(),
            8 => a.round_ties_even().exp2(),
            9 => a.abs(),
            10 => a * 2.0 + b,
            _ => a.exp(),
        }
    };
    for level in Level::available() {
        for shape in level.dispatch(Everything(&a, &b)) {
            for (op, lanes) in shape.iter().enumerate() {
                for (lane, got) in lanes.iter().enumerate() {
                    let want = expected(op, lane);
                    assert!(
                        (got - want).abs() <= 3e-7 * want.abs().max(1e-6),
                        "{level:?} op {op} lane {lane}: {got} for {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn levels_are_found_by_name() {
    for level in Level::available() {
        assert_eq!(Level::named(level.name()), Some(level));
    }
    assert_eq!(Level::named("mmx"), None);
}
