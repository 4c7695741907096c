//! Specs: a network's name with options.

use std::fmt;
use std::str::FromStr;

use crate::{Error, NetworkRow, Options, Result, find};

/// A network with options, as in `mobilenet_v1:width=0.5,between=none`.
///
/// Parsing checks name, options and values against the registry. Displays in canonical form:
/// options in the order of the network's row, without those that have their default.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    row: &'static NetworkRow,
    options: Options,
}

impl Spec {
    /// The network's registry row.
    #[must_use]
    pub fn network(&self) -> &'static NetworkRow {
        self.row
    }

    /// A value for every option.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }
}

impl From<&'static NetworkRow> for Spec {
    fn from(row: &'static NetworkRow) -> Self {
        let options = Options::new(row.name, row.options);
        Self { row, options }
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let syntax = |part: &str| Error::Syntax { spec: text.to_owned(), part: part.to_owned() };
        let (name, list) = match text.split_once(':') {
            Some((name, list)) => (name.trim(), Some(list)),
            None => (text.trim(), None),
        };
        if name.is_empty() || name.contains(['=', ',']) {
            return Err(syntax(name));
        }
        let mut spec = Self::from(find(name)?);
        let mut seen = Vec::new();
        for part in list.into_iter().flat_map(|list| list.split(',')) {
            let (option, value) = part.split_once('=').ok_or_else(|| syntax(part))?;
            let (option, value) = (option.trim(), value.trim());
            if option.is_empty() || value.is_empty() {
                return Err(syntax(part));
            }
            if seen.contains(&option) {
                return Err(Error::RepeatedOption { spec: text.to_owned(), option: option.to_owned() });
            }
            seen.push(option);
            spec.options.set(option, value)?;
        }
        Ok(spec)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)?;
        let changed = (self.options.iter()).filter(|(row, value)| row.default != *value);
        for (i, (row, value)) in changed.enumerate() {
            let separator = if i == 0 { ':' } else { ',' };
            write!(f, "{separator}{}={value}", row.name)?;
        }
        Ok(())
    }
}
