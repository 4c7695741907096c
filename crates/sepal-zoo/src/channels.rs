//! Rounding of scaled channel counts.

/// `channels · width`, rounded to the nearest multiple of 8, at least 8, and up once more where
/// rounding down would lose more than a tenth.
///
/// The rule of the authors' MobileNet code, and of everybody since.
#[must_use]
pub fn round_channels(channels: usize, width: f64) -> usize {
    const STEP: usize = 8;
    let scaled = channels as f64 * width;
    let rounded = ((scaled + STEP as f64 / 2.0) as usize / STEP * STEP).max(STEP);
    if (rounded as f64) < 0.9 * scaled { rounded + STEP } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::round_channels;

    #[test]
    fn rounds_to_multiples_of_eight() {
        let cases = [
            (32, 1.0, 32),
            (32, 1.25, 40),
            (32, 0.25, 8),
            (32, 0.01, 8),
            (64, 0.3, 24), // 19.2 would become 16, which loses more than a tenth
            (64, 0.35, 24),
            (1024, 0.75, 768),
            (96, 1.4, 136),
        ];
        for (channels, width, want) in cases {
            assert_eq!(round_channels(channels, width), want, "{channels}·{width}");
        }
    }
}
