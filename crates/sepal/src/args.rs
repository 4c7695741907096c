//! Values on the command line.

use std::str::FromStr;

/// The most threads that make sense to ask for.
const MAX_THREADS: usize = 1024;

/// Height and width in pixels: `224` or `192x256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) [usize; 2]);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| match text.trim().parse() {
            Ok(side) if side > 0 => Ok(side),
            _ => Err(format!("'{text}' is no number of pixels: give one as in 224, or height and width as in 192x256")),
        };
        match text.split_once(['x', 'X', '×']) {
            Some((height, width)) => Ok(Self([side(height)?, side(width)?])),
            None => side(text).map(|side| Self([side; 2])),
        }
    }
}

/// Two numbers: `0.5,1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair(pub(crate) [f32; 2]);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(',').and_then(|(a, b)| Some([a.trim().parse().ok()?, b.trim().parse().ok()?]));
        parsed.map(Self).ok_or_else(|| format!("'{text}' is no pair of numbers, as in 0.5,1"))
    }
}

/// A number for each of red, green and blue: `0.5`, or `0.485,0.456,0.406`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Triple(pub(crate) [f32; 3]);

impl FromStr for Triple {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[all]) => Ok(Self([all; 3])),
            Some(&[red, green, blue]) => Ok(Self([red, green, blue])),
            _ => Err(format!("'{text}' is neither a number nor three, as in 0.485,0.456,0.406")),
        }
    }
}

/// A number for what a pattern matches: `stem*=0.1`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Factor {
    pub(crate) glob: String,
    pub(crate) value: f64,
}

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.rsplit_once('=').and_then(|(glob, value)| Some((glob.trim(), value.trim().parse().ok()?)));
        match parsed {
            Some((glob, value)) if !glob.is_empty() => Ok(Self { glob: glob.to_owned(), value }),
            _ => Err(format!("'{text}' is no pattern with a number, as in stem*=0.1")),
        }
    }
}

/// A number of threads, batches or the like: 1 or more.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n >= 1 => Ok(n),
        _ => Err("must be a whole number of at least 1".to_owned()),
    }
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MAX_THREADS).contains(&n) => Ok(n),
        _ => Err(format!("must be a whole number from 1 to {MAX_THREADS}")),
    }
}

/// A number of classes.
pub(crate) fn classes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n >= 2 => Ok(n),
        _ => Err("a classifier needs a whole number of at least 2".to_owned()),
    }
}

/// A span of seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(s) if s > 0.0 && s <= 86_400.0 => Ok(s),
        _ => Err("must be a number of seconds above 0, at most 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_pairs() {
        assert_eq!("224".parse(), Ok(Size([224, 224])));
        assert_eq!("192x256".parse(), Ok(Size([192, 256])));
        for wrong in ["0", "x", "3x", "-1", "1x0", "1.5", ""] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        assert_eq!("0.5, 1".parse(), Ok(Pair([0.5, 1.0])));
        assert!("0.5".parse::<Pair>().is_err());
        assert_eq!("0.5".parse(), Ok(Triple([0.5; 3])));
        assert_eq!("1,2, 3".parse(), Ok(Triple([1.0, 2.0, 3.0])));
        assert_eq!("a=*=0.1".parse(), Ok(Factor { glob: "a=*".into(), value: 0.1 }));
        assert!("stem*".parse::<Factor>().is_err() && "=1".parse::<Factor>().is_err());
        assert!("1,2".parse::<Triple>().is_err() && "".parse::<Triple>().is_err());
    }

    #[test]
    fn numbers_start_where_they_make_sense() {
        assert_eq!((count("1"), threads("2"), classes("2")), (Ok(1), Ok(2), Ok(2)));
        assert!(count("0").is_err() && threads("0").is_err() && threads("5000").is_err() && classes("1").is_err());
        assert!(seconds("0").is_err() && seconds("NaN").is_err() && seconds("1.5").is_ok());
    }
}
