//! The crate's error.

mod hint;
mod operators;

use std::io;

pub use operators::MissingOperator;
use operators::show_operators;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, FormatError>;

/// What can be wrong with a file, one variant per way of being wrong. Messages begin with the file's name; offsets
/// count bytes from the start of the file unless said otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The operating system cannot read the file.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written; what stood there before is unchanged.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// There is not enough memory for what the file holds.
    #[error("{file}: {bytes} bytes of memory for one tensor could not be had")]
    Memory {
        /// The file.
        file: String,
        /// Bytes asked for.
        bytes: u64,
    },
    /// The file is shorter than the number it must begin with.
    #[error("{file}: {len} bytes are too few for a safetensors file: it was cut short")]
    TooShort {
        /// The file.
        file: String,
        /// Its length.
        len: u64,
    },
    /// The header is said to be longer than the file.
    #[error(
        "{file}: byte 0 announces a header of {declared} bytes, but the file has {len}: it was cut short, or is no safetensors file"
    )]
    HeaderLength {
        /// The file.
        file: String,
        /// Length of the header according to the file.
        declared: u64,
        /// Length of the file.
        len: u64,
    },
    /// The header is longer than any reasonable one.
    #[error("{file}: byte 0 announces a header of {declared} bytes, at most {limit} are read")]
    HeaderTooLarge {
        /// The file.
        file: String,
        /// Length of the header according to the file.
        declared: u64,
        /// The longest header read.
        limit: u64,
    },
    /// The header is not the JSON it should be.
    #[error("{file}: the header is wrong at byte {offset}: {reason}")]
    Header {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Two tensors have one name.
    #[error("{file}: the header lists tensor `{tensor}` twice")]
    DuplicateTensor {
        /// The file.
        file: String,
        /// The name.
        tensor: String,
    },
    /// A tensor's elements are of a type that is not read.
    #[error("{file}: tensor `{tensor}` has elements of type {dtype}, which is not read")]
    DType {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its type as the file names it.
        dtype: String,
    },
    /// A tensor's shape and the bytes given to it disagree.
    #[error("{file}: tensor `{tensor}` of shape {shape:?} and type {dtype} cannot fill the {bytes} bytes it is given")]
    ShapeBytes {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its type.
        dtype: String,
        /// Bytes between its offsets.
        bytes: u64,
    },
    /// Tensors overlap, leave a gap, or end before they begin.
    #[error(
        "{file}: tensor `{tensor}` lies at bytes {begin}..{end} of the data, but should begin at {expected}, where the one before it ends"
    )]
    Offsets {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its first byte, counted from the start of the data.
        begin: u64,
        /// The byte after its last.
        end: u64,
        /// Where it should begin.
        expected: u64,
    },
    /// The file ends inside a tensor.
    #[error("{file}: tensor `{tensor}` should end at byte {end}, but the file ends at {len}: it was cut short")]
    CutShort {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The byte after the tensor's last.
        end: u64,
        /// Length of the file.
        len: u64,
    },
    /// The file goes on after its last tensor.
    #[error("{file}: {bytes} bytes from byte {offset} on belong to no tensor")]
    TrailingBytes {
        /// The file.
        file: String,
        /// The first of them.
        offset: u64,
        /// How many there are.
        bytes: u64,
    },
    /// Tensors, but no network: a safetensors file that was not written as a model.
    #[error("{file}: holds {tensors} tensors but no network (no `{key}` in its metadata)")]
    NoNetwork {
        /// The file.
        file: String,
        /// The metadata key that is missing.
        key: &'static str,
        /// How many tensors there are.
        tensors: usize,
    },
    /// Written in a later layout than this version knows.
    #[error("{file}: has layout version {found}, this version reads up to {known}")]
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: String,
        /// The latest that is known.
        known: u32,
    },
    /// A metadata entry does not say what it should.
    #[error("{file}: the metadata entry `{key}` is not valid: {reason}")]
    Metadata {
        /// The file.
        file: String,
        /// The entry's key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Graph, weights and metadata contradict one another, or weights are not finite.
    #[error("{file}: {source}")]
    Model {
        /// The file.
        file: String,
        /// What is wrong, and at which node or tensor.
        source: sepal_graph::Error,
    },
    /// Not a NumPy file.
    #[error("{file}: does not begin with the bytes of a NumPy array (\\x93NUMPY)")]
    NotNpy {
        /// The file.
        file: String,
    },
    /// The header of a NumPy file is not one.
    #[error("{file}: the NumPy header is wrong at byte {offset}: {reason}")]
    NpyHeader {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A NumPy array of elements that do not become f32.
    #[error("{file}: elements of NumPy type `{dtype}` are not read; f2, f4, f8, i1 to i8, u1 to u8 and bool are")]
    NpyType {
        /// The file.
        file: String,
        /// The type as the file names it.
        dtype: String,
    },
    /// A NumPy file is not as long as its shape asks for.
    #[error(
        "{file}: an array of shape {shape:?} and type `{dtype}` does not fill the {actual} bytes that follow its header"
    )]
    NpyLength {
        /// The file.
        file: String,
        /// The shape.
        shape: Vec<u64>,
        /// The type.
        dtype: String,
        /// Bytes there are.
        actual: u64,
    },
    /// A pickle is damaged, or uses what `torch.save` does not write.
    #[error("{file}: the pickle is wrong at byte {offset}: {reason}")]
    Pickle {
        /// The file, and the archive's entry if it is one.
        file: String,
        /// Where, counted from the start of the entry or the file.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A PyTorch file lacks a part, or holds something else than a state dict.
    #[error("{file}: no PyTorch weights could be read: {reason}")]
    Pth {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor of a PyTorch or HDF5 file contradicts itself or is of a kind that is not read.
    #[error("{file}: tensor `{tensor}`: {reason}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An HDF5 file is damaged, or is not laid out as Keras does.
    #[error("{file}: no Keras weights could be read: {reason}")]
    Keras {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The network has no names in the naming asked for.
    #[error("{graph} has no names of {naming}; its weights can be written under those of {known}")]
    Naming {
        /// The network.
        graph: String,
        /// Whose names were asked for.
        naming: &'static str,
        /// Whose names there are.
        known: String,
    },
    /// Weights without the network they are of.
    #[error("{file}: is {what}: it holds weights, but not the network they are of")]
    WeightsOnly {
        /// The file.
        file: String,
        /// What the content says it is.
        what: &'static str,
    },
    /// A known format that is not a model this version reads.
    #[error("{file}: is {what}, which this version does not read; it reads {reads}")]
    NotRead {
        /// The file.
        file: String,
        /// What the content says it is.
        what: &'static str,
        /// The formats that are read.
        reads: String,
    },
    /// Neither content nor extension tells a format.
    #[error(
        "{file}: is no model file: neither its first bytes nor its extension are known; this version reads {reads}"
    )]
    Unknown {
        /// The file.
        file: String,
        /// The formats that are read.
        reads: String,
    },
    /// An ONNX file's bytes are no protobuf messages, or too many.
    #[error("{file}: the messages are wrong at byte {offset}: {reason}")]
    Protobuf {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Something in an ONNX model is wrong, or is not supported in the way it is used.
    #[error("{file}: {at}: {reason}")]
    Onnx {
        /// The file.
        file: String,
        /// Where: a node with its operator, a tensor, a value.
        at: String,
        /// What is wrong there, and what would be right.
        reason: String,
    },
    /// An ONNX model uses operators that are not read.
    #[error("{file}: {} operators are not read:{}", missing.len(), show_operators(missing))]
    OnnxOperators {
        /// The file.
        file: String,
        /// All of them.
        missing: Vec<MissingOperator>,
    },
    /// A bundle where a single model is asked for.
    #[error("{file}: is a bundle of several domains ({}), not a model", domains.join(", "))]
    IsBundle {
        /// The file.
        file: String,
        /// Its domains, as far as their names can be read.
        domains: Vec<String>,
    },
    /// A file of tensors that is no bundle.
    #[error("{file}: is no bundle of domains")]
    NotABundle {
        /// The file.
        file: String,
    },
    /// The domains of a bundle contradict one another.
    #[error("{file}: the bundle is damaged: {reason}")]
    Bundle {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A bundle has no domain of that name.
    #[error("{file}: has no domain `{}`; its domains are: {}", name.escape_debug(), there.join(", "))]
    NoDomain {
        /// The file.
        file: String,
        /// The name looked for.
        name: String,
        /// The names there are.
        there: Vec<String>,
    },
    /// What cannot be the name of a domain.
    #[error("`{}` cannot be the name of a domain: 1 to 64 letters, digits, `_` and `-`, which it does not begin with", name.escape_debug())]
    DomainName {
        /// The name, cut to a printable length.
        name: String,
    },
    /// A domain of that name is there already.
    #[error("{file}: has a domain `{name}` already")]
    DomainTaken {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// Others borrow from a domain that is to be removed.
    #[error("{file}: `{name}` cannot be removed: its tensors are borrowed by {}", by.join(", "))]
    DomainNeeded {
        /// The file.
        file: String,
        /// The domain.
        name: String,
        /// Who borrows from it.
        by: Vec<String>,
    },
    /// The first domain, which new ones start from, is to be removed.
    #[error("{file}: `{name}` cannot be removed: its network is the bundle's trunk, which new domains start from")]
    TrunkDomain {
        /// The file.
        file: String,
        /// The domain.
        name: String,
    },
    /// A tensor that a protocol shares is not that of the bundle.
    #[error(
        "{file}: under `{protocol}` the tensor `{tensor}` is that of `{domain}` (`{path}`), but the model's is another: it was trained \
         from another bundle, or under another protocol"
    )]
    NotShared {
        /// The file.
        file: String,
        /// The protocol.
        protocol: sepal_graph::Protocol,
        /// The model's tensor.
        tensor: String,
        /// Whose it should be.
        domain: String,
        /// Its path there.
        path: String,
    },
    /// A folder without the weights that a run leaves.
    #[error("{folder}: is no run folder: it has neither {}", tried.join(" nor "))]
    NotARun {
        /// The folder.
        folder: String,
        /// What was looked for.
        tried: Vec<String>,
    },
}
