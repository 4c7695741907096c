//! The score of the Visual Decathlon, which rewards doing well on every one of several domains. Rebuffi et al. 2017,
//! arXiv:1705.08045, §4.

use crate::error::{Error, Result};

/// γ: halving the error counts for more the smaller it was.
const EXPONENT: i32 = 2;

/// What an error of 0 scores in one domain.
const PERFECT: f64 = 1000.0;

/// The errors of the challenge's baseline on its test pictures, by the names of the data sets: a ResNet fine-tuned on each
/// domain as a whole (Rebuffi et al. 2017, arXiv:1705.08045, table 1, "Finetune"). Its own score is 2500.
pub const DECATHLON_BASELINE: [(&str, f64); 10] = [
    ("imagenet12", 0.4013),
    ("aircraft", 0.3966),
    ("cifar100", 0.1788),
    ("daimlerpedcls", 0.0718),
    ("dtd", 0.4447),
    ("gtsrb", 0.0247),
    ("omniglot", 0.1231),
    ("svhn", 0.0345),
    ("ucf101", 0.4880),
    ("vgg-flowers", 0.1859),
];

/// How well one domain does against its baseline.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DomainScore {
    /// The domain.
    pub name: String,
    /// The share of its pictures that are named wrongly; `None` if it was not measured, which scores 0.
    pub error: Option<f64>,
    /// The baseline's.
    pub baseline: f64,
    /// From 0, for an error of twice the baseline's or more, to 1000, for none; the baseline's own is 250.
    pub score: f64,
}

/// The score of several domains.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DecathlonScore {
    /// In the order of the baselines.
    pub domains: Vec<DomainScore>,
    /// Their sum.
    pub total: f64,
    /// What errors of 0 would score.
    pub best: f64,
}

/// Scores the errors of domains: Σ α·max(0, Emax − E)², where Emax is twice the baseline's error and α = 1000/Emax².
///
/// # Errors
/// [`Error::Score`] for an error outside of 0 to 1, a baseline outside of 0 to 1 or of 0, a domain named twice, and one
/// without a baseline.
pub fn decathlon_score<S: AsRef<str>, T: AsRef<str>>(
    errors: &[(S, f64)],
    baselines: &[(T, f64)],
) -> Result<DecathlonScore> {
    let fail = |domain: &str, problem: String| Err(Error::Score { domain: domain.to_owned(), problem });
    let found = |name: &str| -> Vec<f64> {
        errors.iter().filter(|(other, _)| other.as_ref() == name).map(|&(_, error)| error).collect()
    };
    for (name, error) in errors {
        let name = name.as_ref();
        if !(0.0..=1.0).contains(error) {
            return fail(name, format!("an error of {error} is no share of pictures, from 0 to 1"));
        }
        if found(name).len() > 1 {
            return fail(name, "it is named twice".into());
        }
        if !baselines.iter().any(|(other, _)| other.as_ref() == name) {
            let there: Vec<_> = baselines.iter().map(|(other, _)| other.as_ref()).collect();
            return fail(name, format!("no baseline is given for it; there are {}", there.join(", ")));
        }
    }
    let mut domains: Vec<DomainScore> = Vec::with_capacity(baselines.len());
    for (name, baseline) in baselines {
        let (name, baseline) = (name.as_ref(), *baseline);
        if !(baseline > 0.0 && baseline <= 1.0) {
            let why =
                if baseline == 0.0 { "nothing scores against a baseline without errors" } else { "no such share" };
            return fail(name, format!("a baseline error of {baseline}: {why}; expected above 0, at most 1"));
        }
        if domains.iter().any(|domain| domain.name == name) {
            return fail(name, "its baseline is named twice".into());
        }
        let error = found(name).first().copied();
        let score = error.map_or(0.0, |error| {
            let most = 2.0 * baseline;
            PERFECT * ((most - error).max(0.0) / most).powi(EXPONENT)
        });
        domains.push(DomainScore { name: name.to_owned(), error, baseline, score });
    }
    let total = domains.iter().map(|domain| domain.score).sum();
    let best = PERFECT * domains.len() as f64;
    Ok(DecathlonScore { domains, total, best })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data sets in the order of the published tables: ImNet, Airc, C100, DPed, DTD, GTSR, Flwr, OGlt, SVHN, UCF.
    const ORDER: [&str; 10] = [
        "imagenet12",
        "aircraft",
        "cifar100",
        "daimlerpedcls",
        "dtd",
        "gtsrb",
        "vgg-flowers",
        "omniglot",
        "svhn",
        "ucf101",
    ];

    #[test]
    fn published_accuracies_give_the_published_scores() {
        // Accuracies are published to two decimals of a percent, and the scores of the unrounded ones.
        for (accuracies, score, within) in [
            // Rebuffi et al. 2017, table 1: fine-tuning (the baseline), learning without forgetting, from scratch.
            ([59.87, 60.34, 82.12, 92.82, 55.53, 97.53, 81.41, 87.69, 96.55, 51.20], 2500.0, 1e-6),
            ([59.87, 61.15, 82.23, 92.34, 58.83, 97.57, 83.05, 88.08, 96.10, 50.04], 2515.0, 3.0),
            ([59.87, 57.10, 75.73, 91.20, 37.77, 96.55, 56.30, 88.74, 96.63, 43.27], 1625.0, 3.0),
        ] {
            let errors: Vec<_> = ORDER.iter().zip(accuracies).map(|(name, a)| (*name, 1.0 - a / 100.0)).collect();
            let found = decathlon_score(&errors, &DECATHLON_BASELINE).unwrap();
            assert!((found.total - score).abs() < within, "{} for {score}", found.total);
            assert_eq!(found.best, 10_000.0);
        }
    }

    #[test]
    fn ends_of_the_scale_and_missing_domains() {
        let baselines = [("a", 0.2), ("b", 0.4), ("c", 0.5), ("d", 0.3)];
        let score = decathlon_score(&[("a", 0.0), ("b", 0.9), ("c", 0.5)], &baselines).unwrap();
        let of: Vec<f64> = score.domains.iter().map(|domain| domain.score).collect();
        assert_eq!(of, [1000.0, 0.0, 250.0, 0.0]);
        assert_eq!((score.total, score.domains[3].error), (1250.0, None));
    }

    #[test]
    fn what_cannot_be_scored() {
        for (errors, baselines, words) in [
            (vec![("a", 38.2)], vec![("a", 0.3)], &["a", "38.2"][..]),
            (vec![("a", f64::NAN)], vec![("a", 0.3)], &["NaN"]),
            (vec![("x", 0.1)], vec![("a", 0.3)], &["x", "no baseline", "a"]),
            (vec![("a", 0.1), ("a", 0.2)], vec![("a", 0.3)], &["twice"]),
            (vec![("a", 0.1)], vec![("a", 0.0)], &["baseline", "0"]),
            (vec![], vec![("a", 0.1), ("a", 0.1)], &["twice"]),
        ] {
            let error = decathlon_score(&errors, &baselines).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
