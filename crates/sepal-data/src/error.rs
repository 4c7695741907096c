//! What can go wrong between a path and a batch.

use std::path::{Path, PathBuf};

/// The layouts that [`open`](crate::open) understands, as error messages list them.
pub(crate) const LAYOUTS: &str = "\
  DATA/train/CLASS/x.jpg, with val (or valid, validation) and test beside train
  DATA/CLASS/x.jpg, a part of which is held out for validation
  IDX: train-images-idx3-ubyte and train-labels-idx1-ubyte, also .gz, with t10k-… for the test set
  DATA/images/{train,val,test}/x.jpg and DATA/masks/{train,val,test}/x.png, or DATA/images and DATA/masks with
    train.txt, val.txt and test.txt beside them, or without; DATA/classes.toml or .csv names classes and colours
  Cityscapes: leftImg8bit and gtFine; CamVid: train and trainannot, val and valannot, test and testannot
  CIFAR-10: data_batch_1.bin …, test_batch.bin
  CIFAR-100: train.bin, test.bin
  Visual Decathlon: data/NAME, with annotations/NAME_train.json, NAME_val.json, … beside data";

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder holds nothing that could be a data set.
    #[error("{}: {found}. These layouts are understood:\n{LAYOUTS}", path.display())]
    UnknownLayout {
        /// The folder.
        path: PathBuf,
        /// What was found in it instead.
        found: String,
    },
    /// A class folder without a single picture.
    #[error("{}: the folder of class '{class}' holds no picture (jpg, jpeg, png, bmp, gif, webp)", path.display())]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// Its class.
        class: String,
    },
    /// Class folders whose names the training set (or the class map) does not have.
    #[error("{}: unknown class{} {}; known are {}", path.display(), if unknown.len() == 1 { "" } else { "es" }, list(unknown), list(known))]
    UnknownClasses {
        /// The folder with the surplus class folders.
        path: PathBuf,
        /// Their names.
        unknown: Vec<String>,
        /// The names that would have been right.
        known: Vec<String>,
    },
    /// Fewer classes than a classifier can tell apart.
    #[error("{}: {count} class{}; a classifier needs at least 2", path.display(), if *count == 1 { "" } else { "es" })]
    TooFewClasses {
        /// The data set.
        path: PathBuf,
        /// How many it has.
        count: usize,
    },
    /// A class map (a text file, one class name a line) that cannot be used.
    #[error("{}, line {line}: {problem}", path.display())]
    ClassMap {
        /// The text file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder of several data sets where one is wanted.
    #[error("{}: {} data sets of the Visual Decathlon; name the folder of one: {}", path.display(), names.len(), names.iter().map(|name| data.join(name).display().to_string()).collect::<Vec<_>>().join(", "))]
    SeveralSets {
        /// The folder.
        path: PathBuf,
        /// The folder in it that has one for each data set.
        data: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// An annotation file (COCO's JSON) that cannot be used.
    #[error("{}, {place}: {problem}", path.display())]
    Annotations {
        /// The file.
        path: PathBuf,
        /// Line and column, or the element of a list.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a binary file does not hold what it must.
    #[error("{file}, byte {offset}: {found}, expected {expected}")]
    Field {
        /// The file.
        file: String,
        /// Offset of the field in the (uncompressed) file.
        offset: u64,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A binary file is shorter or longer than its header says.
    #[error("{file}: {found}, but {expected}")]
    Length {
        /// The file.
        file: String,
        /// How long it is.
        found: String,
        /// What its length follows from.
        expected: String,
    },
    /// The pictures and the labels of a set are not equally many.
    #[error("{images_file} holds {images} pictures, but {labels_file} holds {labels} labels")]
    CountMismatch {
        /// The file of pictures.
        images_file: String,
        /// How many pictures it holds.
        images: usize,
        /// The file of labels.
        labels_file: String,
        /// How many labels it holds.
        labels: usize,
    },
    /// A picture that cannot be read.
    #[error("{path}: {cause}")]
    Picture {
        /// The path, or `file[index]` of a packed file.
        path: String,
        /// Why.
        cause: String,
    },
    /// A picture without the mask that belongs to it.
    #[error("{}: there is no mask for it, {}", picture.display(), mask.display())]
    NoMask {
        /// The picture.
        picture: PathBuf,
        /// The file looked for.
        mask: PathBuf,
    },
    /// A mask of another size than its picture.
    #[error("{path}: the picture has {}×{} pixels, its mask {}×{}", picture[0], picture[1], mask[0], mask[1])]
    MaskSize {
        /// The picture.
        path: String,
        /// Width and height of the picture.
        picture: [u32; 2],
        /// Width and height of the mask.
        mask: [u32; 2],
    },
    /// A value or colour of a mask that stands for no class that is known.
    #[error("{path}: {value} at column {x}, row {y} stands for no class; {known}")]
    UnknownLabel {
        /// The mask.
        path: String,
        /// The value or colour.
        value: String,
        /// The pixel's column.
        x: usize,
        /// Its row.
        y: usize,
        /// What would be right.
        known: String,
    },
    /// A list of a data set's classes, or masks without one, of which no classes can be made.
    #[error("{}: {problem}", path.display())]
    MaskClasses {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Masks that say nothing.
    #[error("no pixel of the training masks has a class: all of them are ignored")]
    AllIgnored,
    /// A picture whose header announces more than the limits allow; nothing was allocated for it.
    #[error(
        "{path}: {width}×{height} pixels are above the limit of {max_pixels} pixels and {max_alloc} bytes of memory"
    )]
    TooLarge {
        /// The path.
        path: String,
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// [`Limits::max_pixels`](crate::Limits::max_pixels).
        max_pixels: u64,
        /// [`Limits::max_alloc`](crate::Limits::max_alloc).
        max_alloc: u64,
    },
    /// An option outside its range.
    #[error("{name} = {value}, expected {expected}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it was given.
        value: String,
        /// Its range.
        expected: &'static str,
    },
    /// Too few pictures for the batches asked for.
    #[error("{pictures} picture{} cannot fill a batch: {why}", if *pictures == 1 { "" } else { "s" })]
    TooFewPictures {
        /// How many there are.
        pictures: usize,
        /// What they do not suffice for.
        why: String,
    },
    /// A worker thread panicked or could not be started.
    #[error("a worker of the data loader failed: {cause}")]
    Worker {
        /// The panic's message.
        cause: String,
    },
}

/// The crate's result.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

impl DataError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    pub(crate) fn picture(path: impl Into<String>, cause: impl ToString) -> Self {
        Self::Picture { path: path.into(), cause: cause.to_string() }
    }

    /// The message without the path that the caller prints itself.
    pub(crate) fn cause(&self) -> String {
        let text = self.to_string();
        match self {
            Self::Picture { cause, .. } => cause.clone(),
            Self::TooLarge { path, .. } => {
                text.strip_prefix(path.as_str()).map_or(text.clone(), |rest| rest.trim_start_matches(": ").to_string())
            }
            Self::Io { source, .. } => source.to_string(),
            Self::MaskSize { path, .. } => text.strip_prefix(&format!("{path}: ")).map_or(text.clone(), str::to_owned),
            _ => text,
        }
    }
}

/// At most ten names, quoted, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = names.iter().take(SHOWN).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
