//! Numbers as people read them.

use std::time::Duration;

/// Thousands separated by commas: `4231976` becomes `"4,231,976"`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A count in three figures with its SI letter: `568740352` becomes `"569 M"`, `4231976` becomes `"4.23 M"`. Below a
/// thousand the number is exact.
pub fn short(n: u64) -> String {
    scaled(n, 1000.0, &["", " k", " M", " G", " T", " P", " E"])
}

/// A memory or file size in binary units: `"512 B"`, `"16.1 MiB"`.
pub fn bytes(n: u64) -> String {
    scaled(n, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

fn scaled(n: u64, base: f64, units: &[&str]) -> String {
    let Some((first, larger)) = units.split_first() else {
        return n.to_string();
    };
    if (n as f64) < base {
        return format!("{n}{first}");
    }
    let mut value = n as f64;
    let mut unit = *first;
    for u in larger {
        // 999.7 would print as 1000 of the smaller unit.
        if value < base.min(999.5) {
            break;
        }
        value /= base;
        unit = u;
    }
    // The thresholds are those at which the shorter form rounds up: 9.996 reads 10.0, not 10.00.
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{unit}")
}

/// A time span in the two units that matter: `"340 µs"`, `"8.31 ms"`, `"4.2 s"`, `"1 min 12 s"`, `"2 h 05 min"`,
/// `"3 d 04 h"`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs_f64();
    if s < 0.9995e-3 {
        return format!("{:.0} µs", s * 1e6);
    }
    if s < 0.9995 {
        let ms = s * 1e3;
        let decimals = match ms {
            v if v < 9.995 => 2,
            v if v < 99.95 => 1,
            _ => 0,
        };
        return format!("{ms:.decimals$} ms");
    }
    if s < 59.95 {
        return format!("{s:.1} s");
    }
    let total = s.round() as u64;
    let (minutes, hours, days) = (total / 60, total / 3600, total / 86_400);
    if hours == 0 {
        format!("{minutes} min {:02} s", total % 60)
    } else if days == 0 {
        format!("{hours} h {:02} min", minutes % 60)
    } else {
        format!("{days} d {:02} h", hours % 24)
    }
}

/// A share in 0..=1 as a percentage with one decimal: `0.862` becomes `"86.2 %"`. What is not a number prints as `"–"`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "–".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (4_231_976, "4,231,976"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn short_counts_and_sizes() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.00 k"),
            (4_231_976, "4.23 M"),
            (568_740_352, "569 M"),
            (999_700, "1.00 M"),
            (9_996_000, "10.0 M"),
            (u64::MAX, "18.4 E"),
        ] {
            assert_eq!(short(n), text);
        }
        for (n, text) in [
            (512, "512 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_023_900, "0.98 MiB"),
            (16_908_288, "16.1 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn durations() {
        for (s, text) in [
            (0.0, "0 µs"),
            (340e-6, "340 µs"),
            (0.9998e-3, "1.00 ms"),
            (8.312e-3, "8.31 ms"),
            (0.25, "250 ms"),
            (0.99999, "1.0 s"),
            (4.21, "4.2 s"),
            (59.99, "1 min 00 s"),
            (72.0, "1 min 12 s"),
            (3599.7, "1 h 00 min"),
            (7500.0, "2 h 05 min"),
            (273_600.0, "3 d 04 h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(s)), text);
        }
        assert!(!duration(Duration::MAX).is_empty());
    }

    #[test]
    fn percentages() {
        assert_eq!(percent(0.862), "86.2 %");
        assert_eq!(percent(1.0), "100.0 %");
        assert_eq!(percent(f64::NAN), "–");
    }
}
