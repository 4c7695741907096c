//! Curves in a line of text.

/// The values as a row of bars from the smallest to the greatest, a character each; a blank for what is not finite.
///
/// ```
/// assert_eq!(sepal_report::sparkline([0.0, 1.0, 3.5, f64::NAN, 7.0]), "▁▂▄ █");
/// ```
pub fn sparkline(values: impl IntoIterator<Item = f64>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values: Vec<f64> = values.into_iter().collect();
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let bar = |value: &f64| match (value.is_finite(), high > low) {
        (false, _) => ' ',
        (true, false) => BARS[0],
        (true, true) => BARS[(((value - low) / (high - low) * 7.0) as usize).min(7)],
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn flat_empty_and_huge() {
        assert_eq!((sparkline([2.0, 2.0]).as_str(), sparkline([]).as_str()), ("▁▁", ""));
        assert_eq!(sparkline([f64::MIN, f64::MAX, f64::INFINITY]).chars().count(), 3);
    }
}
