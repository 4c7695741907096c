//! The bundle: networks for many domains in one file, each tensor that they share stored once.
//!
//! The first domain owns all of its tensors, which are the *trunk*. A further domain owns its private ones; for every
//! other parameter it says whose tensor it borrows: the trunk's, or, where it mixes kernels of several domains softly,
//! theirs. So adding a domain touches nothing that the others compute with, and a domain that others borrow from cannot be
//! removed.
//!
//! The file is a `.safetensors`. Its tensors are `DOMAIN/PATH`, F32; the metadata holds, as strings:
//!
//! | key | value |
//! |---|---|
//! | `format` | `pt` |
//! | `sepal.bundle` | version of this layout, a whole number; 1 today |
//! | `sepal.domains` | JSON, a list: name, protocol, graph, meta, record, and `borrowed`: parameter → domain and parameter |

mod check;
pub(crate) mod file;

use std::collections::{BTreeMap, BTreeSet};

use sepal_graph::sharing::gated;
use sepal_graph::{Graph, Meta, Model, ParamSpec, Protocol, Sharing, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::error::{FormatError, Result};

/// A bundle in memory. It is always valid: [`Bundle::model`] of each of its domains is a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// What stands for it in errors: its file.
    file: String,
    /// The trunk's first; borrowed tensors are of earlier ones.
    domains: Vec<Domain>,
}

/// A domain of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Domain {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// What it shares.
    pub protocol: Protocol,
    /// Its network.
    pub graph: Graph,
    /// Its classes, preprocessing and provenance.
    pub meta: Meta,
    /// How it was trained, and how well it does.
    pub record: Record,
    /// The tensors that are its own.
    pub own: Weights,
    /// Whose tensor stands for each other parameter.
    pub borrowed: BTreeMap<String, Source>,
}

/// How a domain was trained, and how well it does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// The resolved recipe, as TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Seconds of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// How well it does on pictures that it was not trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// How well a domain does on a set of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The set: `test` or `val`.
    pub set: String,
    /// Its pictures, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// The share of them that it names.
    pub top1: f64,
}

/// A tensor of a domain that another one borrows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Whose it is.
    pub domain: String,
    /// The parameter's path there.
    pub path: String,
}

impl Bundle {
    /// A bundle of one domain, whose network is the trunk.
    ///
    /// # Errors
    /// [`FormatError::DomainName`]; [`FormatError::Model`] if [`Model::check`] refuses the model, and for one that is no
    /// classifier.
    pub fn new(name: &str, model: Model, record: Record) -> Result<Self> {
        let mut bundle = Self { file: "the bundle".to_owned(), domains: Vec::new() };
        bundle.push(name, Protocol::Scratch, model, record)?;
        Ok(bundle)
    }

    /// All domains, the trunk's first.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// The domain whose network is the trunk.
    #[must_use]
    pub fn trunk(&self) -> &Domain {
        &self.domains[0]
    }

    /// The domain of this name.
    ///
    /// # Errors
    /// [`FormatError::NoDomain`] with the names there are.
    pub fn domain(&self, name: &str) -> Result<&Domain> {
        let found = self.domains.iter().find(|domain| domain.name == name);
        found.ok_or_else(|| FormatError::NoDomain {
            file: self.file.clone(),
            name: name.to_owned(),
            there: self.domains.iter().map(|domain| domain.name.clone()).collect(),
        })
    }

    /// A domain's network with all of its tensors, borrowed ones copied.
    ///
    /// # Errors
    /// [`FormatError::NoDomain`].
    pub fn model(&self, name: &str) -> Result<Model> {
        let domain = self.domain(name)?;
        let mut weights = domain.own.clone();
        for (path, source) in &domain.borrowed {
            let (_, tensor) = self.owner(&source.domain, &source.path)?;
            weights.insert(path.clone(), tensor.clone());
        }
        Ok(Model { graph: domain.graph.clone(), weights, meta: domain.meta.clone() })
    }

    /// The paths of the tensors that all of these domains have from the trunk: what their plans can hold once.
    ///
    /// # Errors
    /// [`FormatError::NoDomain`].
    pub fn common(&self, names: &[&str]) -> Result<BTreeSet<String>> {
        let trunk = self.trunk();
        let mut common: BTreeSet<String> = trunk.own.iter().map(|(path, _)| path.to_owned()).collect();
        for name in names.iter().filter(|name| **name != trunk.name) {
            let borrowed = &self.domain(name)?.borrowed;
            let has = |path: &str, from: &Source| from.domain == trunk.name && from.path == path;
            common.retain(|path| borrowed.get(path).is_some_and(|source| has(path, source)));
        }
        Ok(common)
    }

    /// The domains whose depthwise kernels go with the trunk's pointwise weights, the trunk's first: those that soft
    /// sharing mixes.
    pub fn mixable(&self) -> impl Iterator<Item = &Domain> {
        let own = |domain: &Domain| domain.protocol == Protocol::SharePointwise;
        self.domains.iter().enumerate().filter(move |(at, domain)| *at == 0 || own(domain)).map(|(_, domain)| domain)
    }

    /// Fails if there can be no further domain of this name.
    ///
    /// # Errors
    /// [`FormatError::DomainName`], [`FormatError::DomainTaken`].
    pub fn check_new(&self, name: &str) -> Result<()> {
        check::name(name)?;
        match self.domains.iter().any(|domain| domain.name == name) {
            true => Err(FormatError::DomainTaken { file: self.file.clone(), name: name.to_owned() }),
            false => Ok(()),
        }
    }

    /// Adds a domain that was trained under `protocol`. Of the parameters that it shares nothing is stored; they have to
    /// be, bit for bit, those of the bundle.
    ///
    /// # Errors
    /// As [`Bundle::check_new`]; [`FormatError::Model`] if [`Model::check`] or the protocol refuses the model;
    /// [`FormatError::NotShared`] for a tensor that is not the bundle's.
    pub fn add(&mut self, name: &str, protocol: Protocol, model: Model, record: Record) -> Result<()> {
        self.check_new(name)?;
        self.push(name, protocol, model, record)
    }

    /// Puts the bundle's tensors in the place of those that a network shares under `protocol`.
    ///
    /// # Errors
    /// [`FormatError::Model`] for a network that the protocol is not for; [`FormatError::NotShared`] for a tensor of
    /// another shape; [`FormatError::NoDomain`] for kernels of a domain that is not there.
    pub fn lend(&self, protocol: Protocol, graph: &Graph, weights: &mut Weights) -> Result<()> {
        let wrong = |source| FormatError::Model { file: self.file.clone(), source };
        for spec in Sharing::new(protocol, graph).map_err(wrong)?.shared {
            let (source, tensor) = self.source(graph, &spec)?;
            if tensor.shape() != spec.shape {
                return Err(self.not_shared(protocol, spec.path, source));
            }
            weights.insert(spec.path, tensor.clone());
        }
        Ok(())
    }

    /// Removes a domain.
    ///
    /// # Errors
    /// [`FormatError::NoDomain`]; [`FormatError::TrunkDomain`] for the first; [`FormatError::DomainNeeded`] for one that
    /// others borrow from.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let domain = self.domain(name)?;
        let file = || self.file.clone();
        let borrows = |other: &&Domain| other.borrowed.values().any(|source| source.domain == domain.name);
        let by: Vec<String> = self.domains.iter().filter(borrows).map(|other| other.name.clone()).collect();
        if !by.is_empty() {
            return Err(FormatError::DomainNeeded { file: file(), name: name.to_owned(), by });
        }
        if domain.name == self.trunk().name {
            return Err(FormatError::TrunkDomain { file: file(), name: name.to_owned() });
        }
        self.domains.retain(|domain| domain.name != name);
        Ok(())
    }

    fn push(&mut self, name: &str, protocol: Protocol, model: Model, record: Record) -> Result<()> {
        check::name(name)?;
        let wrong = |source| FormatError::Model { file: format!("{}, domain `{name}`", self.file), source };
        model.check().map_err(wrong)?;
        let Model { graph, weights: mut own, meta } = model;
        let shared = Sharing::new(protocol, &graph).map_err(wrong)?.shared;
        let mut borrowed = BTreeMap::new();
        for spec in shared {
            let (source, tensor) = self.source(&graph, &spec)?;
            let found = own.remove(&spec.path);
            let same = |found: &Tensor| found.shape() == tensor.shape() && same_bits(found.data(), tensor.data());
            if !found.as_ref().is_some_and(same) {
                return Err(self.not_shared(protocol, spec.path, source));
            }
            borrowed.insert(spec.path, source);
        }
        self.domains.push(Domain { name: name.to_owned(), protocol, graph, meta, record, own, borrowed });
        Ok(())
    }

    fn not_shared(&self, protocol: Protocol, tensor: String, source: Source) -> FormatError {
        let Source { domain, path } = source;
        FormatError::NotShared { file: self.file.clone(), protocol, tensor, domain, path }
    }

    /// Whose tensor a shared parameter is.
    fn source(&self, graph: &Graph, spec: &ParamSpec) -> Result<(Source, &Tensor)> {
        for layer in gated(graph) {
            if let Some((domain, _)) = layer.kernels.iter().find(|(_, node)| *node == spec.node) {
                let part = spec.path.rsplit('.').next().unwrap_or_default();
                return self.owner(domain, &format!("{}.{part}", layer.layer));
            }
        }
        self.owner(&self.trunk().name, &spec.path)
    }

    /// The tensor of a domain's parameter and who owns it.
    fn owner(&self, domain: &str, path: &str) -> Result<(Source, &Tensor)> {
        let mut domain = self.domain(domain)?;
        let mut path = path;
        if let Some(source) = domain.borrowed.get(path) {
            (domain, path) = (self.domain(&source.domain)?, &source.path);
        }
        let wrong = |source| FormatError::Model { file: format!("{}, domain `{}`", self.file, domain.name), source };
        let tensor = domain.own.get(path).map_err(wrong)?;
        Ok((Source { domain: domain.name.clone(), path: path.to_owned() }, tensor))
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()))
}
