//! Loss, accuracy and confusion, accumulated over batches.

use serde::{Deserialize, Serialize};

/// The most classes for which a confusion matrix is kept; it has their square of counts.
const MAX_CONFUSION: usize = 4096;

/// Loss and accuracy of the training batches of an epoch so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Sum of the pictures' losses.
    pub loss_sum: f64,
    /// Pictures, or pixels, whose class had the greatest logit.
    pub top1: u64,
    /// Those whose class was among the five greatest.
    pub top5: u64,
    /// Pictures.
    pub images: u64,
    /// Labels of pixels, where pictures have masks: what `top1` and `top5` are shares of then.
    #[serde(default)]
    pub pixels: u64,
    /// Sum over the pictures of their batch's regulariser.
    #[serde(default)]
    pub ortho_sum: f64,
}

impl Running {
    /// Adds a batch: its mean loss, its hits, its pictures.
    pub fn add(&mut self, mean_loss: f64, top1: usize, top5: usize, images: usize) {
        self.loss_sum += mean_loss * images as f64;
        self.top1 += top1 as u64;
        self.top5 += top5 as u64;
        self.images += images as u64;
    }

    /// Adds what the regulariser was worth at a batch of so many pictures.
    pub fn add_ortho(&mut self, value: f64, images: usize) {
        self.ortho_sum += value * images as f64;
    }

    /// Mean of the regulariser over the batches; 0 without pictures.
    #[must_use]
    pub fn ortho(&self) -> f64 {
        self.ortho_sum / self.images.max(1) as f64
    }

    /// Mean loss; 0 without pictures.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images.max(1) as f64
    }

    /// Share of pictures, or pixels, whose class had the greatest logit, 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.top1, self.labels())
    }

    /// Share of those whose class was among the five greatest, 0 to 1.
    #[must_use]
    pub fn accuracy_top5(&self) -> f64 {
        share(self.top5, self.labels())
    }

    fn labels(&self) -> u64 {
        if self.pixels == 0 { self.images } else { self.pixels }
    }
}

/// How a network does on a set of pictures. Where pictures have masks, shares and the counts of classes are of pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Mean cross-entropy in nats, without label smoothing.
    pub loss: f64,
    /// Share of pictures whose class has the greatest logit, 0 to 1. Among equal logits the class with
    /// the lower index comes first.
    pub top1: f64,
    /// Share of pictures whose class is among the five greatest, 0 to 1 (1 for five classes or fewer).
    pub top5: f64,
    /// Pictures measured.
    pub images: u64,
    /// Pixels measured, where pictures have masks.
    pub pixels: Option<u64>,
    /// Pictures that could not be read.
    pub skipped: u64,
    /// One entry for each class.
    pub classes: Vec<ClassMetrics>,
    /// Which class was taken for which; absent for more than 4096 classes.
    pub confusion: Option<Confusion>,
}

impl Metrics {
    /// Mean of `figure` over the classes that have pictures, 0 if none has: each class counts alike, however rare.
    #[must_use]
    pub fn mean_of_classes(&self, figure: fn(&ClassMetrics) -> f64) -> f64 {
        let present = self.classes.iter().filter(|class| class.images > 0);
        present.clone().map(figure).sum::<f64>() / present.count().max(1) as f64
    }

    /// Mean intersection over union of the classes that are there or were taken for there, where pictures have masks.
    #[must_use]
    pub fn miou(&self) -> Option<f64> {
        self.pixels?;
        let there = self.classes.iter().filter_map(ClassMetrics::iou);
        Some(there.clone().sum::<f64>() / there.count().max(1) as f64)
    }

    /// Mean F1 of the classes that have pictures (macro F1).
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        self.mean_of_classes(ClassMetrics::f1)
    }
}

/// How a network does on one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Pictures of the class.
    pub images: u64,
    /// Those recognised.
    pub correct: u64,
    /// Pictures, of any class, taken for this class.
    pub predicted: u64,
}

impl ClassMetrics {
    /// Share of the class's pictures that were recognised (recall), 0 without pictures.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        share(self.correct, self.images)
    }

    /// Share of the pictures taken for this class that are of it, 0 if there are none.
    #[must_use]
    pub fn precision(&self) -> f64 {
        share(self.correct, self.predicted)
    }

    /// Intersection over union: the share that was recognised of what is of the class or was taken for it. `None` where nothing
    /// is.
    #[must_use]
    pub fn iou(&self) -> Option<f64> {
        let union = self.images + self.predicted - self.correct;
        (union > 0).then(|| share(self.correct, union))
    }

    /// Harmonic mean of recall and precision.
    #[must_use]
    pub fn f1(&self) -> f64 {
        share(2 * self.correct, self.images + self.predicted)
    }
}

/// Counts of pictures by true and predicted class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    fn new(classes: usize) -> Option<Self> {
        (classes <= MAX_CONFUSION).then(|| Self { classes, counts: vec![0; classes * classes] })
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// All counts, a row for each true class, a column for each predicted one.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Pictures of class `label` taken for class `predicted`; 0 for a class beyond.
    #[must_use]
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        let known = label < self.classes && predicted < self.classes;
        if known { self.counts[label * self.classes + predicted] } else { 0 }
    }
}

/// Gathers [`Metrics`] from logits.
pub(crate) struct Collector {
    running: Running,
    classes: Vec<ClassMetrics>,
    confusion: Option<Confusion>,
}

impl Collector {
    pub(crate) fn new(classes: usize) -> Self {
        Self {
            running: Running::default(),
            classes: vec![ClassMetrics::default(); classes],
            confusion: Confusion::new(classes),
        }
    }

    /// Adds pictures: a row of logits for each, and its label. A label beyond the classes counts as
    /// missed.
    pub(crate) fn add(&mut self, logits: &[f32], labels: &[u32]) {
        let width = self.classes.len();
        for (row, &label) in logits.chunks_exact(width.max(1)).zip(labels) {
            let label = label as usize;
            let (loss, rank) = score(row, label);
            let predicted = first_greatest(row);
            self.running.add(loss, usize::from(rank == 0), usize::from(rank < 5), 1);
            if let Some(class) = self.classes.get_mut(predicted) {
                class.predicted += 1;
            }
            if let Some(class) = self.classes.get_mut(label) {
                class.images += 1;
                class.correct += u64::from(rank == 0);
                if let Some(confusion) = &mut self.confusion {
                    confusion.counts[label * width + predicted] += 1;
                }
            }
        }
    }

    pub(crate) fn images(&self) -> u64 {
        self.running.images
    }

    pub(crate) fn finish(self, skipped: u64) -> Metrics {
        Metrics {
            loss: self.running.loss(),
            top1: self.running.accuracy(),
            top5: self.running.accuracy_top5(),
            images: self.running.images,
            pixels: None,
            skipped,
            classes: self.classes,
            confusion: self.confusion,
        }
    }
}

/// Cross-entropy of a row of logits, and how many classes come before `label`. Logits that are not
/// numbers come before everything, so that a network that computes them is never right.
fn score(row: &[f32], label: usize) -> (f64, usize) {
    let Some(&own) = row.get(label) else { return (f64::NAN, row.len()) };
    let greatest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = row.iter().map(|&z| f64::from(z - greatest).exp()).sum();
    let loss = sum.ln() - f64::from(own - greatest);
    if own.is_nan() {
        return (f64::NAN, row.len());
    }
    let before = |(class, &z): (usize, &f32)| z.is_nan() || z > own || (z == own && class < label);
    (loss, row.iter().enumerate().filter(|&item| before(item)).count())
}

fn first_greatest(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, &z) in row.iter().enumerate() {
        if row.get(best).is_none_or(|&greatest| z > greatest) {
            best = class;
        }
    }
    best
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_hand_counted_logits() {
        let mut collector = Collector::new(3);
        // Right, wrong (taken for 2), a tie that the lower class wins.
        collector.add(&[2.0, 0.0, 1.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.0], &[0, 1, 1]);
        collector.add(&[0.0, 0.0, 5.0], &[2]);
        let metrics = collector.finish(7);
        assert_eq!((metrics.images, metrics.skipped), (4, 7));
        assert_eq!((metrics.top1, metrics.top5), (0.5, 1.0));
        let e = std::f64::consts::E;
        let losses = [
            (1.0 + e.powi(-1) + e.powi(-2)).ln(),
            (1.0 + e.powi(-2) + e.powi(-3)).ln() + 2.0,
            (2.0 + e.powi(-1)).ln(),
            (1.0 + 2.0 * e.powi(-5)).ln(),
        ];
        assert!((metrics.loss - losses.iter().sum::<f64>() / 4.0).abs() < 1e-12);
        let confusion = metrics.confusion.as_ref().unwrap();
        assert_eq!(confusion.counts(), [1, 0, 0, 1, 0, 1, 0, 0, 1]);
        assert_eq!((confusion.count(1, 2), confusion.count(9, 0), confusion.classes()), (1, 0, 3));
        let [zero, one, two] = metrics.classes[..] else { panic!() };
        assert_eq!(zero, ClassMetrics { images: 1, correct: 1, predicted: 2 });
        assert_eq!(one, ClassMetrics { images: 2, correct: 0, predicted: 0 });
        let (f1, recall) = (metrics.macro_f1(), metrics.mean_of_classes(ClassMetrics::accuracy));
        assert!((f1 - (2.0 / 3.0 + 0.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12 && (recall - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!([zero.iou(), one.iou(), two.iou()], [Some(0.5), Some(0.0), Some(0.5)]);
        assert_eq!((metrics.miou(), ClassMetrics::default().iou()), (None, None));
        let of_pixels = Metrics { pixels: Some(4), ..metrics.clone() };
        assert!((of_pixels.miou().unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!((two.accuracy(), two.precision(), zero.f1(), one.f1()), (1.0, 0.5, 2.0 / 3.0, 0.0));
    }

    #[test]
    fn top5_counts_the_five_greatest() {
        let mut collector = Collector::new(7);
        let row = [0.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        for label in 0..7 {
            collector.add(&row, &[label]);
        }
        let metrics = collector.finish(0);
        assert_eq!((metrics.top1, metrics.top5), (1.0 / 7.0, 5.0 / 7.0));
    }

    #[test]
    fn what_is_not_a_number_is_never_right() {
        let mut collector = Collector::new(2);
        collector.add(&[f32::NAN, 1.0, 1.0, f32::NAN], &[1, 0]);
        collector.add(&[f32::NAN, f32::NAN], &[0]);
        let metrics = collector.finish(0);
        assert_eq!(metrics.top1, 0.0);
        assert!(metrics.loss.is_nan());
    }

    #[test]
    fn nothing_measured_is_zero() {
        let metrics = Collector::new(2).finish(3);
        assert_eq!((metrics.loss, metrics.top1, metrics.images, metrics.skipped), (0.0, 0.0, 0, 3));
        assert_eq!(metrics.macro_f1(), 0.0);
        assert_eq!(Running::default().loss(), 0.0);
    }

    #[test]
    fn many_classes_have_no_matrix() {
        assert!(Collector::new(4097).finish(0).confusion.is_none());
    }
}
