use super::*;
use crate::layout::Buffer;
use crate::pool::Serial;
use crate::testing::{Numbers, assert_close, blocked, everywhere, nchw};
use proptest::prelude::*;

/// Mean cross-entropy of logits in `N, C, H, W` order with the second label of each row and its share, naively, and weighted
/// by the rows' labels.
fn naive(dims: Dims, logits: &[f64], labels: &[u32], mixed: &[(u32, f32)], weights: &[f32], smoothing: f64) -> f64 {
    let pixels = dims.h * dims.w;
    let (mut sum, mut all) = (0.0, 0.0);
    for row in (0..dims.rows()).filter(|&row| labels[row] != IGNORED) {
        let weight = f64::from(weights[labels[row] as usize]);
        all += weight;
        let at = |c: usize| logits[(row / pixels * dims.c + c) * pixels + row % pixels];
        let log_sum = (0..dims.c).map(|c| at(c).exp()).sum::<f64>().ln();
        for c in 0..dims.c {
            let (other, share) = mixed[row];
            let first = if c == labels[row] as usize { 1.0 - f64::from(share) } else { 0.0 };
            let second = if c == other as usize { f64::from(share) } else { 0.0 };
            sum -= weight * ((1.0 - smoothing) * (first + second) + smoothing / dims.c as f64) * (at(c) - log_sum);
        }
    }
    sum / all.max(1e-300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cross_entropy_and_its_gradient(
        (n, c, h, w) in prop_oneof![(1..6usize, prop_oneof![1..40usize, Just(100)], 1..3usize, 1..3usize), Just((2, 5, 20, 17))],
        smoothing in prop_oneof![Just(0.0f32), Just(0.1)],
        mix in any::<bool>(),
        weigh in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let dims = Dims::new(n, c, h, w);
        let mut numbers = Numbers::new(seed);
        let logits: Vec<f32> = numbers.floats(dims.rows() * c).iter().map(|x| x * 5.0).collect();
        let (mix, weigh) = (mix && !weigh, weigh);
        let label = |_| if weigh && numbers.below(4) == 0 { IGNORED } else { numbers.below(c) as u32 };
        let labels: Vec<u32> = (0..dims.rows()).map(label).collect();
        let weights: Vec<f32> = (0..c).map(|_| if weigh { 0.5 + numbers.below(8) as f32 } else { 1.0 }).collect();
        let second = |_| (numbers.below(c) as u32, numbers.below(5) as f32 / 4.0);
        let mixed: Vec<(u32, f32)> = if mix { (0..dims.rows()).map(second).collect() } else { vec![(0, 0.0); dims.rows()] };
        let (others, shares): (Vec<u32>, Vec<f32>) = mixed.iter().copied().unzip();
        let second = Mixed { labels: &others, shares: &shares };
        let targets = Targets { labels: &labels, weights: weigh.then_some(&weights), mixed: mix.then_some(second), smoothing };
        let wide: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
        let want = naive(dims, &wide, &labels, &mixed, &weights, f64::from(smoothing));
        let difference = |at: usize| {
            let step = |h: f64| {
                let mut moved = wide.clone();
                moved[at] += h;
                naive(dims, &moved, &labels, &mixed, &weights, f64::from(smoothing))
            };
            (step(1e-5) - step(-1e-5)) / 2e-5
        };
        let want_grad: Vec<f64> = (0..wide.len()).map(difference).collect();
        let pixels = h * w;
        let chance = |at: usize| {
            let (image, pixel) = (at / (c * pixels), at % pixels);
            let sum: f64 = (0..c).map(|c2| wide[(image * c + c2) * pixels + pixel].exp()).sum();
            wide[at].exp() / sum
        };
        let chances: Vec<f64> = (0..wide.len()).map(chance).collect();
        let z = blocked(dims, &logits);
        everywhere(|exec, name| {
            let mut scratch = vec![f32::NAN; cross_entropy_scratch(&dims, exec.pool.threads())];
            let mut grad = Buffer::zeroed(dims.len());
            let logits = Source::plain(&z);
            let loss = softmax_cross_entropy(exec, &dims, logits, &targets, Some(&mut grad), &mut scratch);
            assert!((loss.mean - want).abs() < 1e-6 * want.abs().max(1.0), "{name}: {} for {want}", loss.mean);
            let grad = nchw(dims, &grad);
            assert_close(&grad, &want_grad, 1e-5, name);
            let mut p = vec![f32::NAN; wide.len()];
            softmax(exec, &dims, logits, &mut p, &mut scratch);
            assert_close(&p, &chances, 1e-6, name);
            vec![grad, p, vec![loss.mean as f32]]
        });
    }
}

fn loss(logits: &[f32], classes: usize, labels: &[u32]) -> Loss {
    let dims = Dims::new(labels.len(), classes, 1, 1);
    let mut scratch = vec![0.0; cross_entropy_scratch(&dims, 1)];
    let z = blocked(dims, logits);
    let targets = Targets { labels, weights: None, mixed: None, smoothing: 0.0 };
    softmax_cross_entropy(Exec::new(&Serial), &dims, Source::plain(&z), &targets, None, &mut scratch)
}

#[test]
fn of_two_labels_the_one_with_the_greater_share_is_counted() {
    let dims = Dims::new(4, 3, 1, 1);
    let z = blocked(dims, &[9.0, 1.0, 0.0].repeat(4));
    let mut scratch = vec![0.0; cross_entropy_scratch(&dims, 1)];
    let mixed = Mixed { labels: &[1, 0, 1, 0], shares: &[0.25, 0.75, 0.5, 0.5] };
    let targets = Targets { labels: &[0, 1, 0, 1], weights: None, mixed: Some(mixed), smoothing: 0.0 };
    let loss = softmax_cross_entropy(Exec::new(&Serial), &dims, Source::plain(&z), &targets, None, &mut scratch);
    assert_eq!(loss.top1, 3);
}

#[test]
fn where_every_row_is_ignored_there_is_nothing_to_learn() {
    let dims = Dims::new(1, 3, 2, 2);
    let z = blocked(dims, &[1.0; 12]);
    let mut scratch = vec![0.0; cross_entropy_scratch(&dims, 1)];
    let mut grad = vec![f32::NAN; dims.len()];
    let targets = Targets { labels: &[IGNORED; 4], weights: Some(&[1.0, 2.0, 3.0]), mixed: None, smoothing: 0.0 };
    let loss =
        softmax_cross_entropy(Exec::new(&Serial), &dims, Source::plain(&z), &targets, Some(&mut grad), &mut scratch);
    assert_eq!(loss, Loss { mean: 0.0, counted: 0, top1: 0, top5: 0 });
    assert!(nchw(dims, &grad).iter().all(|&g| g == 0.0));
}

#[test]
fn of_equal_logits_the_lower_class_is_greater() {
    let flat = [1.0; 7];
    let counts = |label: u32| {
        let loss = loss(&flat, 7, &[label]);
        (loss.top1, loss.top5)
    };
    assert_eq!([0, 1, 4, 5].map(counts), [(1, 1), (0, 1), (0, 1), (0, 0)]);
    let two = loss(&[0.0, 3.0, 1.0, 9.0, 8.0, 7.0], 3, &[1, 2]);
    assert_eq!((two.top1, two.top5), (1, 2));
}

#[test]
fn far_apart_and_broken_logits() {
    let sure = loss(&[500.0, -500.0], 2, &[1]);
    assert!((sure.mean - 1000.0).abs() < 1e-3, "{sure:?}");
    for bad in [f32::NAN, f32::INFINITY] {
        let broken = loss(&[1.0, bad, 0.0], 3, &[0]);
        assert!(broken.mean.is_nan() && broken.top1 == 0 && broken.top5 == 0, "{broken:?}");
    }
}
