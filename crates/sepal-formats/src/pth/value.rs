//! The values that a pickle builds. Nodes lie in one vector and refer to each other by index, so that neither cycles nor
//! depth are a danger.

use super::tensor::{View, of_storage};
use crate::tensors::{DType, MAX_RANK};

/// More nodes than any checkpoint has; a node takes up to some 100 bytes.
const MAX_NODES: usize = 1 << 20;
/// Bytes of strings and lists that nodes may be made with: a few opcodes can copy what is large, again and again.
const MAX_BYTES: usize = 1 << 26;
/// Longest key of a storage; they are numbers.
const MAX_KEY: usize = 64;
/// Arguments looked at; nothing that is understood has more.
const MAX_ARGUMENTS: usize = 8;

/// A value: small and copied freely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// A number, string of bytes or other thing that no tensor needs.
    Other,
    Node(usize),
}

/// What a [`Value::Node`] is.
#[derive(Debug)]
pub(super) enum Node {
    Str(String),
    /// A tuple or a list.
    Sequence(Vec<Value>),
    /// In order of insertion, a key perhaps more than once.
    Dict(Vec<(Value, Value)>),
    /// `module.name` as the file spells it.
    Global(String),
    Storage(Storage),
    Tensor(View),
    /// An instance of a class that is not known, with the state it was given.
    Object {
        class: String,
        state: Option<Value>,
    },
}

/// A reference to a storage, as a persistent id gives it.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    pub(super) key: String,
    /// Its class, a [`Node::Global`].
    pub(super) class: Value,
    /// Elements that it is said to have.
    pub(super) elements: u64,
    /// Element of the storage of that key at which this one begins (views of the old format).
    pub(super) offset: u64,
}

/// All nodes of a pickle.
#[derive(Debug, Default)]
pub(super) struct Heap {
    nodes: Vec<Node>,
    bytes: usize,
}

/// What is wrong with a pickle; the interpreter adds where.
pub(super) type Reason = String;

impl Heap {
    pub(super) fn add(&mut self, node: Node) -> Result<Value, Reason> {
        if self.nodes.len() >= MAX_NODES {
            return Err(format!("it builds more than {MAX_NODES} values"));
        }
        self.bytes += match &node {
            Node::Str(text) | Node::Global(text) | Node::Object { class: text, .. } => text.len(),
            Node::Sequence(items) => size_of_val(items.as_slice()),
            Node::Dict(pairs) => size_of_val(pairs.as_slice()),
            Node::Storage(_) | Node::Tensor(_) => 0,
        };
        if self.bytes > MAX_BYTES {
            return Err(format!("its values take more than {MAX_BYTES} bytes"));
        }
        self.nodes.push(node);
        Ok(Value::Node(self.nodes.len() - 1))
    }

    pub(super) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(at) => self.nodes.get(at),
            _ => None,
        }
    }

    pub(super) fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(at) => self.nodes.get_mut(at),
            _ => None,
        }
    }

    pub(super) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Str(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Sequence(items)) => Some(items),
            _ => None,
        }
    }

    /// What calling the global `class` with `arguments` stands for. Nothing is called: names that tensors need are
    /// understood, all others make an inert object.
    pub(super) fn construct(&mut self, class: Value, arguments: Value) -> Result<Value, Reason> {
        let Some(Node::Global(name)) = self.node(class) else {
            let class = match self.node(class) {
                Some(Node::Object { class, .. }) => class.clone(),
                _ => "?".to_owned(),
            };
            return self.add(Node::Object { class, state: None });
        };
        let name = name.clone();
        let given = self.arguments(arguments);
        match name.as_str() {
            "collections.OrderedDict" => {
                let pairs = given.first().and_then(|&list| self.sequence(list)).unwrap_or_default();
                let pairs: Option<Vec<_>> = pairs
                    .iter()
                    .map(|&pair| match self.sequence(pair) {
                        Some(&[key, value]) => Some((key, value)),
                        _ => None,
                    })
                    .collect();
                let pairs = pairs.ok_or("an OrderedDict is made of something else than pairs")?;
                self.add(Node::Dict(pairs))
            }
            "collections.defaultdict" => self.add(Node::Dict(Vec::new())),
            "torch.Size" => Ok(given.first().copied().unwrap_or(Value::None)),
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                let view = self.view(&given).map_err(|reason| format!("{name}: {reason}"))?;
                self.add(Node::Tensor(view))
            }
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter"
            | "torch.nn.parameter.Buffer" => match given.first() {
                Some(&tensor) if matches!(self.node(tensor), Some(Node::Tensor(_))) => Ok(tensor),
                _ => self.add(Node::Object { class: name, state: None }),
            },
            _ => self.add(Node::Object { class: name, state: None }),
        }
    }

    /// The first few items of a tuple; none of what is no tuple.
    fn arguments(&self, tuple: Value) -> Vec<Value> {
        self.sequence(tuple).unwrap_or_default().iter().take(MAX_ARGUMENTS).copied().collect()
    }

    /// (storage, offset, size, stride, …)
    fn view(&self, given: &[Value]) -> Result<View, Reason> {
        let [storage, offset, size, stride, ..] = *given else {
            return Err(format!("has {} arguments, not storage, offset, size and stride", given.len()));
        };
        let Some(Node::Storage(Storage { offset: start, .. })) = self.node(storage) else {
            return Err("its first argument is no storage".to_owned());
        };
        let whole = |value: Value| match value {
            Value::Int(n) => u64::try_from(n).ok(),
            _ => None,
        };
        let list = |value: Value| {
            let items = self.sequence(value).filter(|items| items.len() <= MAX_RANK)?;
            items.iter().map(|&v| whole(v)).collect::<Option<Vec<u64>>>()
        };
        let numbers = (whole(offset), list(size), list(stride));
        let (Some(offset), Some(size), Some(stride)) = numbers else {
            return Err(format!("offset, size or stride are not (at most {MAX_RANK}) whole numbers from 0 up"));
        };
        if size.len() != stride.len() {
            return Err(format!("{} dimensions have {} strides", size.len(), stride.len()));
        }
        let offset = offset.checked_add(*start).ok_or("its offset is beyond any storage")?;
        Ok(View { storage, offset, size, stride })
    }

    /// What a persistent id, a tuple, stands for: a storage, or the class of a module (whose source it also carries).
    pub(super) fn persistent(&mut self, id: Value) -> Result<Value, Reason> {
        let given = self.arguments(id);
        let whole = |value: Option<&Value>| match value {
            Some(&Value::Int(n)) => u64::try_from(n).map_err(|_| "a storage has a negative size".to_owned()),
            _ => Err("a storage's size is no number".to_owned()),
        };
        match given.first().and_then(|&kind| self.text(kind)) {
            Some("module") => Ok(given.get(1).copied().unwrap_or(Value::None)),
            Some("storage") => {
                let class = given.get(1).copied().unwrap_or(Value::None);
                let key = given.get(2).and_then(|&key| self.text(key)).filter(|key| key.len() <= MAX_KEY);
                let key = key.ok_or("a storage has no key, or a long one")?.to_owned();
                let mut elements = whole(given.get(4))?;
                let mut offset = 0;
                if let Some(view) = given.get(5).and_then(|&view| self.sequence(view)) {
                    offset = whole(view.get(1))?;
                    elements = whole(view.get(2))?;
                }
                self.add(Node::Storage(Storage { key, class, elements, offset }))
            }
            _ => Err("a persistent id is neither a storage nor a module".to_owned()),
        }
    }

    /// The storage that a view looks into, and the type of its elements: known or not, and as the file names it.
    pub(super) fn viewed(&self, view: &View) -> Option<(&Storage, Option<DType>, &str)> {
        let Some(Node::Storage(storage)) = self.node(view.storage) else {
            return None;
        };
        let class = match self.node(storage.class) {
            Some(Node::Global(name)) => name.as_str(),
            _ => "?",
        };
        Some((storage, of_storage(class), class))
    }

    /// Storages that are referred to, with the elements they are said to have.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// Names of the classes that were not understood, each once, in order of appearance.
    pub(super) fn unknown(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for node in &self.nodes {
            if let Node::Object { class, .. } = node
                && names.len() < 8
                && !names.contains(&class.as_str())
            {
                names.push(class);
            }
        }
        names
    }
}
