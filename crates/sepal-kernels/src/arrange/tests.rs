use super::*;
use crate::geometry::Write;
use crate::layout::{Buffer, Dims, LANES};
use crate::source::Source;
use crate::testing::{ACTS, Numbers, act, assert_close, blocked, everywhere, index, naive_value, nchw, unwritten};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() }
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1usize), Just(16), Just(32), 1..40usize]
}

/// All lanes past the last channel are zero.
fn assert_padded(dims: Dims, out: &[f32]) {
    for row in 0..dims.rows() {
        let lanes = &out[(dims.blocks() - 1) * dims.plane() + row * LANES..][..LANES];
        assert!(
            dims.c.is_multiple_of(LANES) || lanes[dims.c % LANES..].iter().all(|&value| value == 0.0),
            "{dims:?} {lanes:?}"
        );
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn channels_are_copied(
        n in 1..3usize, h in 1..7usize, w in 1..9usize, parts in [count(), count(), count()],
        aside in [0..20usize, 0..20usize], which in 0..ACTS, affine in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut numbers = Numbers::new(seed);
        let to = Dims::new(n, parts.iter().sum(), h, w);
        let from = parts.map(|count| Dims::new(n, aside[0] + count + aside[1], h, w));
        let z = from.map(|dims| numbers.floats(dims.rows() * dims.c));
        let vectors: Vec<[Vec<f32>; 3]> =
            from.iter().map(|dims| std::array::from_fn(|_| numbers.channels(*dims))).collect();
        let source = |part: usize, z| {
            let [scale, shift, slopes] = &vectors[part];
            Source { z, affine: affine.then_some((&scale[..], &shift[..])), act: act(which, slopes) }
        };
        let before = numbers.floats(to.rows() * to.c);
        let mut want = vec![0.0; before.len()];
        let mut at = 0;
        for part in 0..3 {
            let Source { affine, act, .. } = source(part, &z[part]);
            let value = naive_value(from[part], &z[part], affine, act);
            for (image, c, pixel) in each(&Dims { c: parts[part], ..to }) {
                let read = ((image * from[part].c + aside[0] + c) * h + pixel / w) * w + pixel % w;
                want[((image * to.c + at + c) * h + pixel / w) * w + pixel % w] = value[read];
            }
            at += parts[part];
        }
        let added: Vec<f64> = want.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
        let z: Vec<Buffer> = z.iter().zip(from).map(|(z, dims)| blocked(dims, z)).collect();
        everywhere(|exec, name| {
            let (mut set, mut sum) = (unwritten(to), blocked(to, &before));
            let mut at = 0;
            for part in 0..3 {
                let copy = Channels { from: from[part], first: aside[0], to, at, count: parts[part] };
                channels(exec, &copy, source(part, &z[part]), &mut set, Write::Set);
                channels(exec, &copy, source(part, &z[part]), &mut sum, Write::Add);
                at += parts[part];
            }
            assert_padded(to, &set);
            let (set, sum) = (nchw(to, &set), nchw(to, &sum));
            assert_close(&set, &want, 1e-6, name);
            assert_close(&sum, &added, 1e-6, name);
            vec![set, sum]
        });
    }

    #[test]
    fn channels_are_joined(
        n in 1..3usize, h in 1..7usize, w in 1..9usize, parts in [count(), count(), count()],
        which in 0..ACTS, affine in any::<bool>(), adds in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut numbers = Numbers::new(seed);
        let to = Dims::new(n, parts.iter().sum(), h, w);
        let [whole, add] = std::array::from_fn(|_| numbers.floats(to.rows() * to.c));
        let [scale, shift, slopes] = std::array::from_fn(|_| numbers.channels(to));
        let affine = affine.then_some((&scale[..], &shift[..]));
        let act = act(which, &slopes);
        let sum = |at: usize| if adds { whole[at] + add[at] } else { whole[at] };
        let sums: Vec<f32> = (0..whole.len()).map(sum).collect();
        let want = naive_value(to, &sums, affine, act);
        let [whole, add] = [whole, add].map(|values| blocked(to, &values));
        everywhere(|exec, name| {
            let mut out = unwritten(to);
            let mut at = 0;
            for count in parts {
                let copy = Channels { from: to, first: at, to, at, count };
                let finish = Finish { add: adds.then_some(&add[..]), affine, act };
                join(exec, &copy, Source::plain(&whole), finish, &mut out);
                at += count;
            }
            let out = nchw(to, &out);
            assert_close(&out, &want, 2e-6, name);
            vec![out]
        });
    }

    #[test]
    fn channels_are_filled(n in 1..3usize, c in count(), range in [0..40usize, 0..40usize], h in 1..5usize) {
        let to = Dims::new(n, c, h, 3);
        let range = range[0] % c..range[0] % c + range[1] % (c - range[0] % c + 1);
        let before = Numbers::new(1).floats(to.rows() * to.c);
        everywhere(|exec, _| {
            let mut out = blocked(to, &before);
            fill(exec, &to, range.clone(), 0.5, &mut out);
            let out = nchw(to, &out);
            for (image, c, pixel) in each(&to) {
                let at = (image * to.c + c) * h * 3 + pixel;
                assert_eq!(out[at], if range.contains(&c) { 0.5 } else { before[at] });
            }
            vec![out]
        });
    }

    #[test]
    fn pixels_are_sums(
        n in 1..3usize, c in count(), from in [1..7usize, 1..9usize], to in [1..9usize, 1..7usize],
        which in 0..ACTS, affine in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut numbers = Numbers::new(seed);
        let [dims, to_dims] = [from, to].map(|[h, w]| Dims::new(n, c, h, w));
        let mut axis = |side: usize| {
            let lists: Vec<Vec<(usize, f32)>> = (0..to[side])
                .map(|_| (0..numbers.below(4)).map(|_| (numbers.below(from[side]), numbers.float())).collect())
                .collect();
            (Axis::new(from[side], to[side], |place| lists[place].clone()), lists)
        };
        let ((rows, row_lists), (columns, column_lists)) = (axis(0), axis(1));
        let taps = Taps { rows, columns, outside: 0.75 };
        let [z, before] = [dims, to_dims].map(|dims| numbers.floats(dims.rows() * dims.c));
        let g_before = numbers.floats(z.len());
        let [scale, shift, slopes] = std::array::from_fn(|_| numbers.channels(dims));
        let some_act = act(which, &slopes);
        let affine = affine.then_some((&scale[..], &shift[..]));
        let value = naive_value(dims, &z, affine, some_act);
        let mut want = vec![0.0; before.len()];
        let mut back: Vec<f64> = g_before.iter().map(|&g| f64::from(g)).collect();
        for (image, c, pixel) in each(&to_dims) {
            let (y, x) = (pixel / to[1], pixel % to[1]);
            let at = index(to_dims, image, c, y, x);
            if row_lists[y].is_empty() || column_lists[x].is_empty() {
                want[at] = 0.75;
            }
            for ((row, a), (column, b)) in row_lists[y].iter().flat_map(|a| column_lists[x].iter().map(move |b| (*a, *b))) {
                let read = index(dims, image, c, row, column);
                want[at] += f64::from(a) * f64::from(b) * value[read];
                back[read] += f64::from(a) * f64::from(b) * f64::from(before[at]);
            }
        }
        let added: Vec<f64> = want.iter().zip(&before).map(|(a, b)| a + f64::from(*b)).collect();
        let z = blocked(dims, &z);
        everywhere(|exec, name| {
            let (mut set, mut sum, mut dx) = (unwritten(to_dims), blocked(to_dims, &before), blocked(dims, &g_before));
            let x = Source { z: &z, affine, act: some_act };
            resample(exec, &taps, n, c, x, &mut set, Write::Set);
            resample(exec, &taps, n, c, x, &mut sum, Write::Add);
            let g = blocked(to_dims, &before);
            resample(exec, &taps.transposed(), n, c, Source::plain(&g), &mut dx, Write::Add);
            let (set, sum, dx) = (nchw(to_dims, &set), nchw(to_dims, &sum), nchw(dims, &dx));
            assert_close(&set, &want, 2e-6, name);
            assert_close(&sum, &added, 2e-6, name);
            assert_close(&dx, &back, 2e-6, name);
            vec![set, sum, dx]
        });
    }

    #[test]
    fn elements_are_gathered(
        n in 1..3usize, from in (count(), 1..6usize, 1..6usize), to in (count(), 1..6usize, 1..6usize),
        by_channels in any::<bool>(), seed in any::<u64>(),
    ) {
        let mut numbers = Numbers::new(seed);
        let dims = Dims::new(n, from.0, from.1, from.2);
        let to_dims = if by_channels { Dims { c: to.0, ..dims } } else { Dims::new(n, to.0, to.1, to.2) };
        let (each_from, each_to) = (dims.c * dims.h * dims.w, to_dims.c * to_dims.h * to_dims.w);
        let pixels = dims.h * dims.w;
        let chosen: Vec<Option<usize>> = if by_channels {
            let channels: Vec<_> = (0..to.0).map(|_| Some(numbers.below(dims.c)).filter(|_| numbers.below(5) > 0)).collect();
            (0..each_to).map(|at| channels[at / pixels].map(|c| c * pixels + at % pixels)).collect()
        } else {
            (0..each_to).map(|_| Some(numbers.below(each_from)).filter(|_| numbers.below(5) > 0)).collect()
        };
        let [x, g] = [n * each_from, n * each_to].map(|len| numbers.floats(len));
        let want: Vec<f64> = (0..n * each_to)
            .map(|at| chosen[at % each_to].map_or(-0.5, |from| f64::from(x[at / each_to * each_from + from])))
            .collect();
        let mut back: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        for (at, g) in g.iter().enumerate() {
            if let Some(from) = chosen[at % each_to] {
                back[at / each_to * each_from + from] += f64::from(*g);
            }
        }
        let plan = Gather::new(dims, to_dims, -0.5, |at| chosen[at]);
        let (x_blocked, g_blocked) = (blocked(dims, &x), blocked(to_dims, &g));
        everywhere(|exec, name| {
            let (mut out, mut dx) = (unwritten(to_dims), blocked(dims, &x));
            gather(exec, &plan, n, &x_blocked, &mut out, Write::Set);
            gather(exec, &plan.transposed(), n, &g_blocked, &mut dx, Write::Add);
            assert_padded(to_dims, &out);
            let (out, dx) = (nchw(to_dims, &out), nchw(dims, &dx));
            assert_close(&out, &want, 0.0, name);
            // All elements may have gone to one.
            assert_close(&dx, &back, 1e-5, name);
            vec![out, dx]
        });
    }
}

/// Image, channel and pixel of every element.
fn each(dims: &Dims) -> impl Iterator<Item = (usize, usize, usize)> {
    let (channels, pixels) = (dims.c, dims.h * dims.w);
    (0..dims.n * channels * pixels).map(move |at| (at / channels / pixels, at / pixels % channels, at % pixels))
}

#[test]
fn shifts_are_told_from_other_tables() {
    let axis = |from: usize, to: usize, shift: isize| {
        Axis::new(from, to, |place| place.checked_add_signed(shift).filter(|at| *at < from).map(|at| (at, 1.0)))
    };
    for (from, to, shift) in [(5, 5, 0), (5, 9, -2), (5, 8, -3), (5, 5, -1), (5, 2, 3), (5, 3, 0)] {
        assert_eq!(axis(from, to, shift).shift(), Some(shift));
    }
    // Nothing inside, one of another weight, one repeated, one that is missing, one twice.
    assert_eq!(axis(5, 3, -7).shift(), None);
    assert_eq!(Axis::new(3, 3, |place| [(place, 0.5)]).shift(), None);
    assert_eq!(Axis::new(3, 4, |place| [(place.min(2), 1.0)]).shift(), None);
    assert_eq!(Axis::new(3, 4, |place| (place < 2).then_some((place, 1.0))).shift(), None);
    assert_eq!(Axis::new(3, 3, |place| [(place, 1.0), (place, 1.0)]).shift(), None);
}

#[test]
#[cfg_attr(panic = "abort", ignore = "a panic ends the program")]
fn a_place_that_is_not_there_is_refused() {
    let dims = Dims::new(1, 2, 3, 3);
    assert!(std::panic::catch_unwind(|| Axis::new(3, 1, |_| [(3, 1.0)])).is_err());
    assert!(std::panic::catch_unwind(|| Gather::new(dims, dims, 0.0, |_| Some(18))).is_err());
}
