//! Sums over pictures, and what they say of each unit.

use super::Unit;

/// What is measured of a picture itself: mean red, green, blue, contrast, vertical and horizontal edges.
const FEATURES: usize = 6;

/// The low-level content of a picture: three planes of `height × width`, whatever their normalisation.
pub(super) fn features(planes: &[f32], height: usize, width: usize) -> [f64; FEATURES] {
    let pixels = height * width;
    let mean =
        |plane: usize| planes[plane * pixels..][..pixels].iter().map(|&v| f64::from(v)).sum::<f64>() / pixels as f64;
    let colours = [mean(0), mean(1), mean(2)];
    let grey = |at: usize| f64::from(planes[at] + planes[pixels + at] + planes[2 * pixels + at]) / 3.0;
    let middle = colours.iter().sum::<f64>() / 3.0;
    let (mut contrast, mut across, mut down) = (0.0, 0.0, 0.0);
    for at in 0..pixels {
        let here = grey(at);
        contrast += (here - middle).powi(2);
        if at % width + 1 < width {
            across += (grey(at + 1) - here).abs();
        }
        if at + width < pixels {
            down += (grey(at + width) - here).abs();
        }
    }
    let each = |sum: f64| sum / pixels as f64;
    [colours[0], colours[1], colours[2], each(contrast).sqrt(), each(across), each(down)]
}

/// Sums over the pictures so far.
pub(super) struct Tally {
    units: usize,
    top: usize,
    pictures: u64,
    class_pictures: Vec<u64>,
    /// Class by class: the sum of each unit's responses.
    class_sums: Vec<f64>,
    squares: Vec<f64>,
    sums: [f64; FEATURES],
    products: [[f64; FEATURES]; FEATURES],
    /// Feature by feature: the sum of its products with each unit's responses.
    cross: Vec<f64>,
    best: Vec<Vec<(u32, f32)>>,
}

impl Tally {
    pub(super) fn new(units: usize, classes: usize, top: usize) -> Self {
        Self {
            units,
            top,
            pictures: 0,
            class_pictures: vec![0; classes],
            class_sums: vec![0.0; classes * units],
            squares: vec![0.0; units],
            sums: [0.0; FEATURES],
            products: [[0.0; FEATURES]; FEATURES],
            cross: vec![0.0; FEATURES * units],
            best: vec![Vec::new(); units],
        }
    }

    /// Adds a picture: the responses of all units, then their maxima.
    pub(super) fn add(&mut self, values: &[f32], label: usize, index: u32, features: &[f64; FEATURES]) {
        let (responses, maxima) = values.split_at(self.units);
        let Some(count) = self.class_pictures.get_mut(label) else { return };
        *count += 1;
        self.pictures += 1;
        let of_class = &mut self.class_sums[label * self.units..][..self.units];
        for ((sum, square), &response) in of_class.iter_mut().zip(&mut self.squares).zip(responses) {
            *sum += f64::from(response);
            *square += f64::from(response).powi(2);
        }
        for (i, &feature) in features.iter().enumerate() {
            self.sums[i] += feature;
            for (product, other) in self.products[i].iter_mut().zip(features) {
                *product += feature * other;
            }
            let cross = &mut self.cross[i * self.units..][..self.units];
            for (sum, &response) in cross.iter_mut().zip(responses) {
                *sum += feature * f64::from(response);
            }
        }
        for (best, &value) in self.best.iter_mut().zip(maxima) {
            // Pictures come in their order, so that of equals the first stays ahead.
            let place = best.partition_point(|&(_, other)| other >= value);
            if place < self.top {
                best.truncate(self.top - 1);
                best.insert(place, (index, value));
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Unit> {
        let fit = Fit::new(&self);
        let mut best = self.best.iter();
        (0..self.units)
            .map(|unit| {
                let (selectivity, class) = self.selectivity(unit);
                Unit {
                    selectivity,
                    class,
                    low_level: fit.explained(&self, unit),
                    top: best.next().cloned().unwrap_or_default(),
                }
            })
            .collect()
    }

    fn selectivity(&self, unit: usize) -> (Option<f64>, Option<u32>) {
        let means = self.class_pictures.iter().zip(0_u32..).filter(|(count, _)| **count > 0);
        let means: Vec<(f64, u32)> =
            means.map(|(&n, class)| (self.class_sums[class as usize * self.units + unit] / n as f64, class)).collect();
        let Some(&(most, class)) = means.iter().reduce(|a, b| if b.0 > a.0 { b } else { a }) else {
            return (None, None);
        };
        let others = means.len() - 1;
        if others == 0 || most <= 0.0 {
            return (None, None);
        }
        let rest = (means.iter().map(|(mean, _)| mean).sum::<f64>() - most) / others as f64;
        (Some((most - rest) / (most + rest)), Some(class))
    }
}

/// The least squares of any unit's responses on the features, as far as these are independent of each other.
struct Fit {
    /// The lower triangle L of the features' covariance, L·Lᵀ; a row that is `None` follows from those before.
    rows: Vec<Option<[f64; FEATURES]>>,
}

/// A feature of whose variance less than this is new follows from the others: in grey pictures, two of three colours.
const NEW: f64 = 1e-6;

impl Fit {
    fn new(tally: &Tally) -> Self {
        let n = tally.pictures as f64;
        let mut rows: Vec<Option<[f64; FEATURES]>> = Vec::new();
        for i in 0..FEATURES {
            let covariance = |j: usize| tally.products[i][j] - tally.sums[i] * tally.sums[j] / n;
            let mut row = [0.0; FEATURES];
            for j in 0..i {
                if let Some(other) = &rows[j] {
                    let known: f64 = (0..j).map(|k| row[k] * other[k]).sum();
                    row[j] = (covariance(j) - known) / other[j];
                }
            }
            let left = covariance(i) - row[..i].iter().map(|v| v * v).sum::<f64>();
            let new = left > NEW * covariance(i) && left > f64::EPSILON * tally.products[i][i];
            row[i] = left.max(0.0).sqrt();
            rows.push(new.then_some(row));
        }
        Self { rows }
    }

    /// The adjusted share of a unit's variance.
    fn explained(&self, tally: &Tally, unit: usize) -> Option<f64> {
        let n = tally.pictures as f64;
        let used = self.rows.iter().flatten().count() as f64;
        let sum: f64 = tally.class_sums.iter().skip(unit).step_by(tally.units).sum();
        let variance = tally.squares[unit] - sum * sum / n;
        if n <= used + 1.0 || variance <= 1e-9 * tally.squares[unit] {
            return None;
        }
        let mut solved = [0.0; FEATURES];
        for (i, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let covariance = tally.cross[i * tally.units + unit] - tally.sums[i] * sum / n;
            let known: f64 = (0..i).map(|k| row[k] * solved[k]).sum();
            solved[i] = (covariance - known) / row[i];
        }
        let share = solved.iter().map(|v| v * v).sum::<f64>() / variance;
        Some(1.0 - (1.0 - share.min(1.0)) * (n - 1.0) / (n - used - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number from -1 to 1 that looks drawn.
    fn noise(i: usize) -> f64 {
        let mixed = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f64 / f64::from(1 << 23) - 1.0
    }

    #[test]
    fn selectivity_is_that_of_the_class_means() {
        let mut tally = Tally::new(4, 4, 2);
        // Unit 0 for class 2 alone, unit 1 for all the same, unit 2 never, unit 3 in shares 1, 3, 2; class 3 has no picture.
        for (index, label) in [0, 1, 2, 0, 1, 2].into_iter().enumerate() {
            let only = if label == 2 { 4.0 } else { 0.0 };
            let mixed = [1.0, 3.0, 2.0][label];
            let values = [only, 5.0, 0.0, mixed, -(index as f32), 7.0, 0.0, index as f32];
            tally.add(&values, label, index as u32, &[0.0; FEATURES]);
        }
        let units = tally.finish();
        assert_eq!(
            units.iter().map(|u| u.selectivity).collect::<Vec<_>>(),
            [Some(1.0), Some(0.0), None, Some(0.3333333333333333)]
        );
        assert_eq!(units.iter().map(|u| u.class).collect::<Vec<_>>(), [Some(2), Some(0), None, Some(1)]);
        assert_eq!(units[0].top, [(0, 0.0), (1, -1.0)]);
        assert_eq!((&units[1].top[..], &units[3].top[..]), (&[(0, 7.0), (1, 7.0)][..], &[(5, 5.0), (4, 4.0)][..]));
    }

    #[test]
    fn colours_and_edges_explain_what_they_make() {
        let mut tally = Tally::new(3, 2, 1);
        for index in 0..400 {
            let of = |k: usize| noise(7 * index + k);
            // Grey pictures: green and blue follow from red.
            let features = [of(0), of(0), 2.0 * of(0), of(1), of(2), of(3)];
            let own = of(4);
            let linear = 3.0 + 0.5 * of(0) - 0.25 * of(2);
            let values = [linear as f32, (linear + 0.5 * own) as f32, own as f32, 0.0, 0.0, 0.0];
            tally.add(&values, index % 2, index as u32, &features);
        }
        let shares: Vec<f64> = tally.finish().iter().map(|unit| unit.low_level.unwrap()).collect();
        assert!((shares[0] - 1.0).abs() < 1e-6, "{shares:?}");
        // 0.5² + 0.25² of 0.5² + 0.25² + 0.5².
        assert!((shares[1] - 5.0 / 9.0).abs() < 0.06, "{shares:?}");
        assert!(shares[2].abs() < 0.03, "{shares:?}");
    }

    #[test]
    fn features_of_stripes() {
        // Columns of 0 and 1 in every plane.
        let planes: Vec<f32> = (0..3 * 16).map(|at| (at % 2) as f32).collect();
        assert_eq!(features(&planes, 4, 4), [0.5, 0.5, 0.5, 0.5, 0.75, 0.0]);
    }
}
