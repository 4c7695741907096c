//! Standard output carries results, standard error what people read meanwhile.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Where a command's results go, in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the result is one JSON object.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// A line or more for people; nothing where JSON was asked for.
    pub(crate) fn text(self, text: impl fmt::Display) -> io::Result<()> {
        if self.json { Ok(()) } else { self.raw(text) }
    }

    /// A line or more, whatever was asked for.
    pub(crate) fn raw(self, text: impl fmt::Display) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// The result as one line of JSON, if JSON was asked for.
    pub(crate) fn result(self, value: &impl Serialize) -> io::Result<()> {
        if self.json { self.raw(serde_json::to_string(value)?) } else { Ok(()) }
    }
}

/// A line on standard error. That nobody may be reading it is no reason to stop.
pub(crate) fn log(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
