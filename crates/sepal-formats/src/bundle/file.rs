//! Bundles from and to files.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sepal_graph::{Graph, Meta, Protocol, Tensor, Weights};
use serde::{Deserialize, Serialize};

use super::{Bundle, Domain, Record, Source, check};
use crate::error::{FormatError, Result};
use crate::native::{FORMAT, check_version, from_json, to_json};
use crate::tensors::{self, Contents};

/// The metadata key that makes a file a bundle.
pub(crate) const VERSION: &str = "sepal.bundle";
const DOMAINS: &str = "sepal.domains";
/// The layout that this version writes, and the latest that it reads.
const LAYOUT: u32 = 1;

/// A domain in the metadata.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    protocol: Protocol,
    graph: Graph,
    meta: Meta,
    #[serde(default)]
    record: Record,
    #[serde(default)]
    borrowed: BTreeMap<String, Source>,
}

/// The same, to be written.
#[derive(Serialize)]
struct EntryRef<'a> {
    name: &'a str,
    protocol: Protocol,
    graph: &'a Graph,
    meta: &'a Meta,
    record: &'a Record,
    borrowed: &'a BTreeMap<String, Source>,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// [`FormatError::NotABundle`]; what is wrong with the file or its domains, as [`native::read`](crate::native::read)
    /// says it of a model's; [`FormatError::Bundle`] for domains that contradict one another.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        assemble(tensors::read(path)?, path.display().to_string())
    }

    /// Reads a bundle from memory; `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`Bundle::read`].
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        assemble(tensors::from_bytes(bytes, name)?, name.to_owned())
    }

    /// Writes the bundle, complete or not at all (see [`atomic::write`](crate::atomic::write)). Equal bundles are equal
    /// bytes.
    ///
    /// # Errors
    /// [`FormatError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        crate::atomic::write(path, |w| self.to_writer(w))
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`FormatError::Write`] for more than a file holds.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.to_writer(&mut bytes).map_err(|source| FormatError::Write { file: self.file.clone(), source })?;
        Ok(bytes)
    }

    /// Reads the bundle at `path`, changes it, and writes it, while no other process does (it waits for one that does).
    /// Whatever happens, the file is afterwards the bundle before or the one after. Returns what `change` does.
    ///
    /// # Errors
    /// As [`Bundle::read`] and [`Bundle::write`], and what `change` says; then nothing was written.
    pub fn update<T>(path: impl AsRef<Path>, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let path = path.as_ref();
        let fail = |source| FormatError::Read { file: path.display().to_string(), source };
        let lock = lock_file(&fs::canonicalize(path).map_err(fail)?);
        // A file of its own: that of the bundle is another one after each change.
        let held = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let held = held.map_err(|source| FormatError::Write { file: lock.display().to_string(), source })?;
        // Not every file system has locks.
        let _ = held.lock();
        let mut bundle = Self::read(path)?;
        let result = change(&mut bundle)?;
        bundle.write(path)?;
        Ok(result)
    }

    fn to_writer(&self, w: impl Write) -> io::Result<()> {
        let entry = |domain: &Domain| {
            to_json(&EntryRef {
                name: &domain.name,
                protocol: domain.protocol,
                graph: &domain.graph,
                meta: &domain.meta,
                record: &domain.record,
                borrowed: &domain.borrowed,
            })
        };
        let entries = self.domains.iter().map(entry).collect::<io::Result<Vec<_>>>()?;
        let metadata = BTreeMap::from([
            (FORMAT.to_owned(), "pt".to_owned()),
            (VERSION.to_owned(), LAYOUT.to_string()),
            (DOMAINS.to_owned(), format!("[{}]", entries.join(","))),
        ]);
        let own = || {
            self.domains.iter().flat_map(|domain| domain.own.iter().map(move |(path, tensor)| (domain, path, tensor)))
        };
        let names: Vec<String> = own().map(|(domain, path, _)| format!("{}/{path}", domain.name)).collect();
        let list: Vec<(&str, &[usize], &[f32])> = names
            .iter()
            .zip(own())
            .map(|(name, (_, _, tensor))| (name.as_str(), tensor.shape(), tensor.data()))
            .collect();
        tensors::to_writer(w, &list, &metadata)
    }
}

fn assemble(contents: Contents, file: String) -> Result<Bundle> {
    let Contents { metadata, tensors } = contents;
    let Some(version) = metadata.get(VERSION) else { return Err(FormatError::NotABundle { file }) };
    check_version(version, VERSION, LAYOUT, &file)?;
    let entries: Option<Vec<Entry>> = from_json(&metadata, DOMAINS, &file)?;
    let mut domains: Vec<Domain> = entries.unwrap_or_default().into_iter().map(Domain::from).collect();
    for (name, stored) in tensors {
        let named = name.split_once('/').and_then(|(domain, path)| Some((position(&domains, domain)?, path)));
        let Some((at, path)) = named else {
            return Err(FormatError::Bundle {
                file,
                reason: format!("tensor `{}` is of no domain", name.escape_debug()),
            });
        };
        let wrong = |source: sepal_graph::Error| FormatError::Model { file: file.clone(), source: source.at(&name) };
        let tensor = Tensor::new(stored.shape, stored.data).map_err(wrong)?;
        domains[at].own.insert(path, tensor);
    }
    let bundle = Bundle { file, domains };
    check::bundle(&bundle)?;
    Ok(bundle)
}

fn position(domains: &[Domain], name: &str) -> Option<usize> {
    domains.iter().position(|domain| domain.name == name)
}

impl From<Entry> for Domain {
    fn from(entry: Entry) -> Self {
        let Entry { name, protocol, graph, meta, record, borrowed } = entry;
        Self { name, protocol, graph, meta, record, own: Weights::new(), borrowed }
    }
}

/// The names of the domains in a bundle's metadata, as far as they can be read.
pub(crate) fn names(metadata: &BTreeMap<String, String>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let text = metadata.get(DOMAINS).map(String::as_str).unwrap_or_default();
    let names: Vec<Name> = serde_json::from_str(text).unwrap_or_default();
    names.into_iter().map(|name| name.name).collect()
}

/// The file beside a bundle that whoever changes it locks. It stays: removing it would let two in.
fn lock_file(bundle: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(bundle.file_name().unwrap_or_default());
    name.push(".lock");
    bundle.with_file_name(name)
}
