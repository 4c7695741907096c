//! How a command fails: a message, a hint, an exit code.

use std::fmt;
use std::io;

use sepal_data::DataError;
use sepal_formats::FormatError;

/// Exit code of a failure.
const FAILED: u8 = 1;
/// Exit code of a wrong command line.
const USAGE: u8 = 2;
/// Exit code of what the user interrupted, as shells have it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// A result of the command line.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a command did not do what it was asked.
///
/// Any error becomes one with `?`; errors of the libraries that only a wrong command line causes get its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Option<anyhow::Error>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure while doing what was asked.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { error: Some(anyhow::Error::msg(message.into())), hint: None, code: FAILED }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { error: Some(anyhow::Error::msg(message.into())), hint: None, code: USAGE }
    }

    /// Failures that were reported when they happened; only the exit code is left to say.
    pub(crate) fn reported() -> Self {
        Self { error: None, hint: None, code: FAILED }
    }

    /// The user's own wish, reported already.
    pub(crate) fn interrupted() -> Self {
        Self { error: None, hint: None, code: INTERRUPTED }
    }

    /// With what the user could do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// With what was being done.
    pub(crate) fn context(self, what: impl fmt::Display) -> Self {
        let message = self.error.map(|error| format!("{what}: {}", chain(&error)));
        Self { error: message.map(anyhow::Error::msg), ..self }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Whether the reader of standard output went away, which is nobody's fault.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let broken = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
        };
        self.error.as_ref().is_some_and(|error| error.chain().any(broken))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = &self.error else { return Ok(()) };
        writeln!(f, "error: {}", chain(error))?;
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let code = if is_usage(&error) { USAGE } else { FAILED };
        let hint = error.downcast_ref::<FormatError>().and_then(FormatError::hint).map(str::to_owned);
        Self { error: Some(error), hint, code }
    }
}

/// Whether only a wrong command line brings this error about.
fn is_usage(error: &anyhow::Error) -> bool {
    use sepal_train::Error as Train;
    let option = |error: &DataError| matches!(error, DataError::Option { .. });
    let name = |error: &FormatError| matches!(error, FormatError::DomainName { .. });
    error.downcast_ref::<sepal_zoo::Error>().is_some()
        || error.downcast_ref::<FormatError>().is_some_and(name)
        || error.downcast_ref::<DataError>().is_some_and(option)
        || error.downcast_ref::<Train>().is_some_and(|error| match error {
            Train::Recipe { .. } | Train::NoRecipe { .. } | Train::Glob { .. } | Train::RecipeMismatch { .. } => true,
            Train::Data(error) => option(error),
            _ => false,
        })
}

/// An error with its causes, each told once: many messages already end with their cause.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(cause.trim()) {
            text = format!("{text}: {cause}");
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "cannot read x: {}", self.0)
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::from(Outer(io::Error::other("disk on fire"))).hint("put it out");
        assert_eq!(failure.to_string(), "error: cannot read x: disk on fire\nhint: put it out\n");
        let context = failure.context("run y").to_string();
        assert_eq!(context, "error: run y: cannot read x: disk on fire\nhint: put it out\n");
    }

    #[test]
    fn codes() {
        let unknown = "no_such_net".parse::<sepal_zoo::Spec>().unwrap_err();
        assert_eq!(Failure::from(unknown).code(), 2);
        assert_eq!(Failure::from(io::Error::other("x")).code(), 1);
        assert!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_broken_pipe());
        assert_eq!((Failure::interrupted().code(), Failure::interrupted().to_string()), (130, String::new()));
    }
}
