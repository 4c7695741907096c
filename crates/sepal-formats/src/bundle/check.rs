//! Is what a file says of its domains a bundle?

use std::collections::BTreeSet;

use sepal_graph::{Error, Sharing};

use super::{Bundle, Domain};
use crate::error::{FormatError, Result};

/// Longest name of a domain.
const MAX_NAME: usize = 64;

/// Refuses what is no name: names stand in tensors' names, and in paths of files.
pub(super) fn name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-') {
        true => Ok(()),
        false => Err(FormatError::DomainName { name: name.chars().take(MAX_NAME).collect() }),
    }
}

/// Checks that every domain has its tensors, own or borrowed from earlier ones, and no others.
pub(super) fn bundle(bundle: &Bundle) -> Result<()> {
    if bundle.domains.is_empty() {
        let reason = "it has no domain".to_owned();
        return Err(FormatError::Bundle { file: bundle.file.clone(), reason });
    }
    for (at, domain) in bundle.domains.iter().enumerate() {
        name(&domain.name)?;
        let earlier = &bundle.domains[..at];
        if earlier.iter().any(|other| other.name == domain.name) {
            let reason = format!("two domains are called `{}`", domain.name);
            return Err(FormatError::Bundle { file: bundle.file.clone(), reason });
        }
        let wrong = |source| FormatError::Model { file: format!("{}, domain `{}`", bundle.file, domain.name), source };
        let sharing = Sharing::new(domain.protocol, &domain.graph).map_err(wrong)?;
        borrowed(domain, earlier, &sharing)
            .map_err(|reason| FormatError::Bundle { file: bundle.file.clone(), reason })?;
        own(domain, &sharing).map_err(wrong)?;
        domain.meta.check(&domain.graph).map_err(wrong)?;
    }
    Ok(())
}

/// Exactly what the protocol shares is borrowed, of the right shape, from tensors that earlier domains own.
fn borrowed(domain: &Domain, earlier: &[Domain], sharing: &Sharing) -> std::result::Result<(), String> {
    let name = &domain.name;
    let mut expected = BTreeSet::new();
    for spec in &sharing.shared {
        expected.insert(spec.path.as_str());
        let Some(source) = domain.borrowed.get(&spec.path) else {
            return Err(format!("domain `{name}` does not say whose tensor its shared `{}` is", spec.path));
        };
        let Some(owner) = earlier.iter().find(|other| other.name == source.domain) else {
            let text = format!("domain `{name}` borrows `{}` of `{}`", spec.path, source.domain);
            return Err(format!("{text}, which is no domain before it"));
        };
        match owner.own.get(&source.path) {
            Ok(tensor) if tensor.shape() == spec.shape => {}
            Ok(tensor) => {
                let text = format!("domain `{name}` borrows `{}` of shape {:?}", spec.path, spec.shape);
                let found = tensor.shape();
                return Err(format!("{text}, but `{}` of `{}` is {found:?}", source.path, source.domain));
            }
            Err(_) => {
                let text = format!("domain `{name}` borrows `{}` of `{}`", source.path, source.domain);
                return Err(format!("{text}, which has no such tensor of its own"));
            }
        }
    }
    match domain.borrowed.keys().find(|path| !expected.contains(path.as_str())) {
        Some(path) => Err(format!("domain `{name}` borrows `{path}`, which `{}` does not share", domain.protocol)),
        None => Ok(()),
    }
}

/// What is not borrowed is there, of the right shape, finite, and nothing else is.
fn own(domain: &Domain, sharing: &Sharing) -> sepal_graph::Result<()> {
    let mut missing = Vec::new();
    let mut misshapen = Vec::new();
    let mut known = BTreeSet::new();
    for spec in &sharing.private {
        known.insert(spec.path.as_str());
        match domain.own.get(&spec.path) {
            Err(_) => missing.push(spec.path.clone()),
            Ok(tensor) if tensor.shape() != spec.shape => {
                misshapen.push((spec.path.clone(), spec.shape.clone(), tensor.shape().to_vec()));
            }
            Ok(_) => {}
        }
    }
    let unexpected: Vec<String> =
        domain.own.iter().map(|(path, _)| path.to_owned()).filter(|path| !known.contains(path.as_str())).collect();
    if !(missing.is_empty() && unexpected.is_empty() && misshapen.is_empty()) {
        return Err(Error::mismatch(domain.graph.name.clone(), &missing, &unexpected, misshapen));
    }
    domain.own.check_finite()?;
    domain.own.check_variances_of(&sharing.private)
}
