//! Options of networks and blocks: what there is, and what was chosen.

use std::fmt;

use sepal_graph::Activation;

use crate::blocks::{Between, Block, Style};
use crate::error::nearest;
use crate::{Error, Result};

/// An option as a registry row declares it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionRow {
    /// Its name in a spec.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The value that it has if not given.
    pub default: Value,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A name of the block table that can stand for a convolution.
    Block,
    /// A number above the first and at most the second.
    Above(f64, f64),
    /// A number from the first to below the second.
    Below(f64, f64),
    /// A whole number from the first to the second.
    Integer(usize, usize),
}

impl Kind {
    /// The words it takes; none for numbers.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        match self {
            Self::Choice(words) => words.to_vec(),
            Self::Block => Block::names(),
            Self::Above(..) | Self::Below(..) | Self::Integer(..) => Vec::new(),
        }
    }

    /// Reads a value; `None` if it is not one that the option takes.
    fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Choice(_) | Self::Block => {
                let words = self.words();
                words.into_iter().find(|w| *w == text).map(Value::Word)
            }
            Self::Above(min, max) => {
                let value = text.parse().ok()?;
                (value > min && value <= max).then_some(Value::Number(value))
            }
            Self::Below(min, max) => {
                let value = text.parse().ok()?;
                (value >= min && value < max).then_some(Value::Number(value))
            }
            Self::Integer(min, max) => {
                let value = text.parse().ok()?;
                (min..=max).contains(&value).then_some(Value::Integer(value))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Choice(_) | Self::Block => write!(f, "one of {}", self.words().join(", ")),
            Self::Above(min, max) => write!(f, "a number above {min}, at most {max}"),
            Self::Below(min, max) => write!(f, "a number from {min} to below {max}"),
            Self::Integer(min, max) => write!(f, "a whole number from {min} to {max}"),
        }
    }
}

/// A value of an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A word.
    Word(&'static str),
    /// A number.
    Number(f64),
    /// A whole number.
    Integer(usize),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.pad(word),
            Self::Number(number) => number.fmt(f),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

/// A value for every option of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    network: &'static str,
    values: Vec<(OptionRow, Value)>,
}

impl Options {
    /// The defaults of a network's options.
    pub(crate) fn new(network: &'static str, rows: &[OptionRow]) -> Self {
        let values = rows.iter().map(|row| (*row, row.default)).collect();
        Self { network, values }
    }

    /// Sets an option from text.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let network = self.network;
        let Some((row, value)) = self.values.iter_mut().find(|(row, _)| row.name == name) else {
            return Err(self.unknown(name));
        };
        *value = row.kind.parse(text).ok_or_else(|| Error::BadValue {
            network,
            option: row.name,
            value: text.to_owned(),
            nearest: nearest(text, &row.kind.words()),
            expected: row.kind.to_string(),
        })?;
        Ok(())
    }

    /// Options and values in the order of the network's row.
    pub fn iter(&self) -> impl Iterator<Item = (&OptionRow, Value)> {
        self.values.iter().map(|(row, value)| (row, *value))
    }

    /// The value of an option.
    ///
    /// # Errors
    /// The network has no such option.
    pub fn get(&self, name: &str) -> Result<Value> {
        let found = self.values.iter().find(|(row, _)| row.name == name);
        found.map(|(_, v)| *v).ok_or_else(|| self.unknown(name))
    }

    /// The value of an option that takes numbers.
    ///
    /// # Errors
    /// The network has no such option, or it takes words.
    pub fn number(&self, name: &str) -> Result<f64> {
        match self.get(name)? {
            Value::Number(number) => Ok(number),
            Value::Integer(number) => Ok(number as f64),
            Value::Word(_) => Err(self.unknown(name)),
        }
    }

    /// The value of an option that takes whole numbers.
    ///
    /// # Errors
    /// The network has no such option, or it takes something else.
    pub fn integer(&self, name: &str) -> Result<usize> {
        match self.get(name)? {
            Value::Integer(number) => Ok(number),
            Value::Number(_) | Value::Word(_) => Err(self.unknown(name)),
        }
    }

    /// The value of an option that takes words.
    ///
    /// # Errors
    /// The network has no such option, or it takes numbers.
    pub fn word(&self, name: &str) -> Result<&'static str> {
        match self.get(name)? {
            Value::Word(word) => Ok(word),
            Value::Number(_) | Value::Integer(_) => Err(self.unknown(name)),
        }
    }

    /// The value of `activation`.
    ///
    /// # Errors
    /// The network has no such option.
    pub fn activation(&self) -> Result<Activation> {
        Ok(self.word(ACTIVATION.name)?.parse()?)
    }

    /// What blocks are told, of those that the network lets choose: `between`, `groups`, `p`,
    /// `bsconv_norm`, `branches`, `domains`, `hff`, `activation`. The others keep their defaults.
    ///
    /// # Errors
    /// None for a row of the registry.
    pub fn style(&self) -> Result<Style> {
        let mut style = Style::default();
        for (row, value) in self.iter() {
            match (row.name, value) {
                ("between", Value::Word(word)) => style.between = word.parse()?,
                ("groups", Value::Integer(groups)) => style.groups = groups,
                ("p", Value::Number(p)) => style.p = p,
                ("bsconv_norm", Value::Word(word)) => {
                    style.norm_u = matches!(word, "u" | "both");
                    style.norm_s = matches!(word, "s" | "both");
                }
                ("branches", Value::Integer(branches)) => style.branches = branches,
                ("domains", Value::Integer(domains)) => style.domains = domains,
                ("hff", Value::Word(word)) => style.hff = word == "yes",
                ("activation", Value::Word(word)) => style.activation = word.parse()?,
                _ => {}
            }
        }
        Ok(style)
    }

    /// What stands where a convolution stands: `block` in the style chosen.
    ///
    /// # Errors
    /// The network has no option `block`.
    pub fn block(&self) -> Result<Block> {
        self.block_in(self.style()?)
    }

    /// What stands where a convolution stands: `block` in this style.
    ///
    /// # Errors
    /// The network has no option `block`.
    pub fn block_in(&self, style: Style) -> Result<Block> {
        let name = self.word("block")?;
        Block::named(name, style).ok_or_else(|| self.unknown("block"))
    }

    /// Whether `stem` is the one for small images.
    ///
    /// # Errors
    /// The network has no option `stem`.
    pub(crate) fn is_small(&self) -> Result<bool> {
        Ok(self.word(STEM.name)? == "cifar")
    }

    /// Whether an option that is `yes` or `no` is `yes`.
    ///
    /// # Errors
    /// The network has no such option.
    pub fn is_on(&self, name: &str) -> Result<bool> {
        Ok(self.word(name)? == "yes")
    }

    fn unknown(&self, name: &str) -> Error {
        let valid: Vec<_> = self.values.iter().map(|(row, _)| row.name).collect();
        Error::UnknownOption { network: self.network, option: name.to_owned(), nearest: nearest(name, &valid), valid }
    }
}

/// `block`: what stands where a k×k convolution stands.
pub(crate) const fn block(default: &'static str) -> OptionRow {
    OptionRow {
        name: "block",
        help: "what stands where a k×k convolution stands",
        kind: Kind::Block,
        default: Value::Word(default),
    }
}

/// `between`: what stands between depthwise and pointwise.
pub(crate) const fn between(default: &'static str) -> OptionRow {
    OptionRow {
        name: "between",
        help: "what stands between depthwise and pointwise (block=dsc, pyramid_add, pyramid_concat, soft_sharing)",
        kind: Kind::Choice(&Between::NAMES),
        default: Value::Word(default),
    }
}

/// `groups`: groups of grouped convolutions.
pub(crate) const fn groups(default: usize) -> OptionRow {
    OptionRow {
        name: "groups",
        help: "groups K of each grouped convolution (block=grouped)",
        kind: Kind::Integer(1, 1024),
        default: Value::Integer(default),
    }
}

/// `groups` of networks that have no grouped convolutions by themselves.
pub(crate) const GROUPS: OptionRow = groups(8);

/// `p`: channels in the middle of BSConv-S.
pub(crate) const P: OptionRow = OptionRow {
    name: "p",
    help: "share of its input channels in the middle of BSConv-S (block=bsconv_s)",
    kind: Kind::Above(0.0, 1.0),
    default: Value::Number(0.25),
};

/// `bsconv_norm`: which blueprint convolutions have norms inside.
pub(crate) const fn bsconv_norm(default: &'static str) -> OptionRow {
    OptionRow {
        name: "bsconv_norm",
        help: "which of BSConv-U and BSConv-S has norms after its pointwise convolutions",
        kind: Kind::Choice(&["none", "u", "s", "both"]),
        default: Value::Word(default),
    }
}

/// `branches`: branches of simplified Inception blocks.
pub(crate) const BRANCHES: OptionRow = OptionRow {
    name: "branches",
    help: "branches of each simplified Inception block, at most its output channels (block=inception_simple)",
    kind: Kind::Integer(1, 64),
    default: Value::Integer(3),
};

/// `domains`: domains of the soft sharing block.
pub(crate) const DOMAINS: OptionRow = OptionRow {
    name: "domains",
    help: "domains whose depthwise convolutions a gate mixes (block=soft_sharing)",
    kind: Kind::Integer(1, 64),
    default: Value::Integer(2),
};

/// `hff`: whether ESP fuses its branches.
pub(crate) const HFF: OptionRow = switch("hff", "hierarchical fusion of the dilated branches (block=esp)", "yes");

/// `block` of networks of inverted residual blocks.
pub(crate) const DEPTHWISE_BLOCK: OptionRow = OptionRow {
    name: "block",
    help: "what stands where a block's depthwise convolution stands, on as many channels; of separable ones their \
           depthwise half, the pointwise one being the network's own: dsc is the depthwise convolution itself",
    kind: Kind::Block,
    default: Value::Word("dsc"),
};

/// `activation`: the network's non-linearity.
pub(crate) const fn activation(default: &'static str) -> OptionRow {
    OptionRow {
        name: "activation",
        help: "the non-linearity after every norm",
        kind: Kind::Choice(&Activation::NAMES),
        default: Value::Word(default),
    }
}

/// `activation` of networks of ReLUs.
pub(crate) const ACTIVATION: OptionRow = activation("relu");

/// An option that is on or off.
pub(crate) const fn switch(name: &'static str, help: &'static str, default: &'static str) -> OptionRow {
    OptionRow { name, help, kind: Kind::Choice(&["no", "yes"]), default: Value::Word(default) }
}

/// `data_norm`: a batch norm on the pixels.
pub(crate) const DATA_NORM: OptionRow =
    switch("data_norm", "a batch norm on the pixels, as in the BSConv authors' networks", "no");

/// `width`: factor on every channel count.
pub(crate) const WIDTH: OptionRow = OptionRow {
    name: "width",
    help: "factor on every channel count, rounded to multiples of 8",
    kind: Kind::Above(0.0, 16.0),
    default: Value::Number(1.0),
};

/// `dropout`: probability of dropout before the classifier.
pub(crate) const DROPOUT: OptionRow = OptionRow {
    name: "dropout",
    help: "probability of dropout before the classifier",
    kind: Kind::Below(0.0, 1.0),
    default: Value::Number(0.0),
};

/// `stem`: how the network begins.
pub(crate) const STEM: OptionRow = OptionRow {
    name: "stem",
    help: "imagenet: halve the size at once; cifar: keep small images large at the start",
    kind: Kind::Choice(&["imagenet", "cifar"]),
    default: Value::Word("imagenet"),
};
