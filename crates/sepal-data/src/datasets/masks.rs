//! Pictures with a mask each: `images/` and `masks/`, Cityscapes, CamVid.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{TEST, TRAIN, VAL, list, name_of, pictures};
use crate::dataset::{Dataset, OpenOptions, Splits};
use crate::error::{DataError, Result};
use crate::masks::{LabelMap, MaskClasses, greatest_value, read_mask};
use crate::picture::{Limits, Picture, read_picture};

/// The kind of `images/` and `masks/` without sets of their own.
pub(crate) const FLAT: &str = "flat folder of pictures and masks";
const SPLIT: &str = "pictures and masks";
const CITYSCAPES: &str = "Cityscapes";
const CAMVID: &str = "CamVid";

const IMAGES: &[&str] = &["images", "imgs", "JPEGImages"];
const MASKS: &[&str] = &["masks", "labels", "annotations", "SegmentationClass"];
const LISTS: [&str; 3] = ["classes.toml", "classes.csv", "class_dict.csv"];

/// A picture file and its mask's.
type Pair = (PathBuf, PathBuf);

/// Pictures and masks in files.
struct Masks {
    pairs: Vec<Pair>,
    classes: Arc<MaskClasses>,
    limits: Limits,
}

impl Masks {
    fn at(&self, index: usize) -> Result<&Pair> {
        self.pairs.get(index).ok_or_else(|| DataError::picture(self.describe(index), "there is no such picture"))
    }
}

impl Dataset for Masks {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn classes(&self) -> &[String] {
        self.classes.names()
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn describe(&self, index: usize) -> String {
        match self.pairs.get(index) {
            Some((path, _)) => path.display().to_string(),
            None => format!("picture {index} of {}", self.len()),
        }
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()> {
        *picture = read_picture(&self.at(index)?.0, &self.limits)?;
        Ok(())
    }

    fn mask_classes(&self) -> Option<&MaskClasses> {
        Some(&self.classes)
    }

    fn decode_mask_into(&self, index: usize, mask: &mut LabelMap) -> Result<()> {
        *mask = read_mask(&self.at(index)?.1, &self.classes, &self.limits)?;
        Ok(())
    }
}

/// The pairs of each set, before the classes are known.
#[derive(Default)]
struct Found {
    kind: &'static str,
    train: Vec<Pair>,
    val: Vec<Pair>,
    test: Vec<Pair>,
    /// Those that the layout brings.
    classes: Option<MaskClasses>,
    notes: Vec<String>,
}

/// Whether `path` holds pictures with masks, none of which is read.
pub(crate) fn is_here(path: &Path) -> Result<bool> {
    Ok(find(path)?.is_some())
}

fn find(path: &Path) -> Result<Option<Found>> {
    Ok(cityscapes(path)?.or(camvid(path)?).or(folders(path)?))
}

pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Splits>> {
    let Some(found) = find(path)? else { return Ok(None) };
    let Found { kind, train, val, test, classes, mut notes } = found;
    if let Some(set) = [&train, &val, &test].into_iter().find(|set| u32::try_from(set.len()).is_err()) {
        let found = format!("a set has {} pictures", set.len());
        return Err(DataError::UnknownLayout { path: path.to_path_buf(), found });
    }
    let names = options.class_names()?;
    let listed = LISTS.iter().map(|name| path.join(name)).find(|path| path.is_file());
    let classes = match (listed, classes, names) {
        (Some(file), _, Some(names)) => MaskClasses::read(&file)?.mapped(&names, path)?,
        (Some(file), _, None) => MaskClasses::read(&file)?,
        (None, Some(classes), Some(names)) => classes.mapped(&names, path)?,
        (None, Some(classes), None) => classes,
        (None, None, Some(names)) => MaskClasses::numbered(names)?,
        (None, None, None) => numbered([&train, &val, &test], &options.limits, &mut notes)?,
    };
    let classes = Arc::new(classes);
    let set = |pairs: Vec<Pair>| Arc::new(Masks { pairs, classes: Arc::clone(&classes), limits: options.limits }) as _;
    let held = |pairs: Vec<Pair>| if pairs.is_empty() { None } else { Some(set(pairs)) };
    let (val, test) = (held(val), held(test));
    Ok(Some(Splits { kind, train: set(train), val, test, classes: classes.names().to_vec(), notes }))
}

/// Classes by the values that are there.
fn numbered(sets: [&Vec<Pair>; 3], limits: &Limits, notes: &mut Vec<String>) -> Result<MaskClasses> {
    let mut greatest = None;
    for (_, mask) in sets.into_iter().flatten() {
        greatest = greatest.max(greatest_value(mask, limits)?);
    }
    let Some(greatest) = greatest else { return Err(DataError::AllIgnored) };
    if greatest == 0 {
        let text =
            "the masks hold no values but 0 and 255, which stands for no class: if 255 is one, say so in classes.toml";
        notes.push(text.into());
    }
    notes.push(format!("no list of classes (classes.toml): they are the masks' values, 0 to {greatest}"));
    MaskClasses::numbered((0..=greatest).map(|class| class.to_string()).collect())
}

/// `images/` and `masks/`, with sets as folders in both, as lists beside them, or none.
fn folders(path: &Path) -> Result<Option<Found>> {
    let here = list(path)?;
    let (Some(images), Some(masks)) = (here.folder_called(IMAGES), here.folder_called(MASKS)) else {
        // Beside other folders it may be a class of that name.
        if let (Some(images), [_]) = (here.folder_called(&IMAGES[..1]), &here.folders[..]) {
            let found = format!("there is '{}' but no 'masks'", name_of(images));
            return Err(DataError::UnknownLayout { path: path.to_path_buf(), found });
        }
        return Ok(None);
    };
    let inside = list(images)?;
    if inside.folder_called(TRAIN).is_some() {
        let mut found = Found { kind: SPLIT, ..Found::default() };
        for (called, set) in [(TRAIN, 0), (VAL, 1), (TEST, 2)] {
            let Some(folder) = inside.folder_called(called) else { continue };
            let pairs = pair(folder, &masks.join(name_of(folder)), &|stem| stem.to_owned(), &mut found.notes)?;
            *[&mut found.train, &mut found.val, &mut found.test][set] = pairs;
        }
        return Ok(Some(found));
    }
    let mut notes = Vec::new();
    let all = pair(images, masks, &|stem| stem.to_owned(), &mut notes)?;
    let file = |called: &[&str]| called.iter().map(|name| path.join(format!("{name}.txt"))).find(|file| file.is_file());
    let Some(train) = file(TRAIN) else { return Ok(Some(Found { kind: FLAT, train: all, notes, ..Found::default() })) };
    let by_stem: HashMap<String, Pair> = all.into_iter().map(|pair| (stem(images, &pair.0), pair)).collect();
    let listed = |file: Option<PathBuf>| file.map_or(Ok(Vec::new()), |file| in_list(&file, &by_stem));
    let (train, val, test) = (in_list(&train, &by_stem)?, listed(file(VAL))?, listed(file(TEST))?);
    Ok(Some(Found { kind: SPLIT, train, val, test, notes, ..Found::default() }))
}

/// The pictures that a list names, one a line, with or without folder and extension.
fn in_list(file: &Path, by_stem: &HashMap<String, Pair>) -> Result<Vec<Pair>> {
    let text = std::fs::read_to_string(file).map_err(|e| DataError::io(file, e))?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Some lists have the mask's path after the picture's.
        let Some(word) = line.split_whitespace().next() else { continue };
        let parts = Path::new(word).with_extension("");
        let mut parts = parts.components().as_path();
        let found = loop {
            let key = parts.to_string_lossy();
            if key.is_empty() {
                break None;
            }
            if let Some(pair) = by_stem.get(key.as_ref()) {
                break Some(pair);
            }
            let mut rest = parts.components();
            rest.next();
            parts = rest.as_path();
        };
        let Some(pair) = found else {
            let problem = format!("there is no picture '{word}'");
            return Err(DataError::ClassMap { path: file.to_path_buf(), line: number + 1, problem });
        };
        pairs.push(pair.clone());
    }
    Ok(pairs)
}

/// A file's path below `folder`, without its extension.
fn stem(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder).unwrap_or(file).with_extension("").to_string_lossy().into_owned()
}

/// The pictures in a folder and those below, each with the mask in `masks` that is called as `mask` says of its path.
fn pair(images: &Path, masks: &Path, mask: &dyn Fn(&str) -> String, notes: &mut Vec<String>) -> Result<Vec<Pair>> {
    let (mut files, _) = pictures(images)?;
    files.sort_unstable();
    let there = if masks.is_dir() { pictures(masks)?.0 } else { Vec::new() };
    let there: BTreeMap<String, PathBuf> = there.into_iter().map(|file| (stem(masks, &file), file)).collect();
    let mut used = HashSet::new();
    let mut pairs = Vec::new();
    for file in files {
        let name = mask(&stem(images, &file));
        let Some(found) = there.get(&name) else {
            return Err(DataError::NoMask { picture: file, mask: masks.join(format!("{name}.png")) });
        };
        used.insert(name);
        pairs.push((file, found.clone()));
    }
    if pairs.is_empty() {
        let found = "it holds no picture".into();
        return Err(DataError::UnknownLayout { path: images.to_path_buf(), found });
    }
    let without = there.len() - used.len();
    if without > 0 {
        notes.push(format!("{}: {without} file(s) belong to no picture", masks.display()));
    }
    Ok(pairs)
}

/// `leftImg8bit/SET/CITY/x_leftImg8bit.png` and `gtFine/SET/CITY/x_gtFine_labelIds.png` (or `labelTrainIds`). The test set has no
/// labels to measure by.
fn cityscapes(path: &Path) -> Result<Option<Found>> {
    let (images, masks) = (path.join("leftImg8bit"), path.join("gtFine"));
    if !images.is_dir() || !masks.is_dir() {
        return Ok(None);
    }
    let mut found = Found { kind: CITYSCAPES, ..Found::default() };
    let (mut all, _) = pictures(&masks.join("train"))?;
    all.retain(|file| file.to_string_lossy().ends_with("_labelTrainIds.png"));
    let train_ids = !all.is_empty();
    let ending = if train_ids { "_gtFine_labelTrainIds" } else { "_gtFine_labelIds" };
    let mask = |stem: &str| format!("{}{ending}", stem.strip_suffix("_leftImg8bit").unwrap_or(stem));
    // Beside each mask lie others of the same picture: none of them is left over.
    found.train = pair(&images.join("train"), &masks.join("train"), &mask, &mut Vec::new())?;
    if images.join("val").is_dir() {
        found.val = pair(&images.join("val"), &masks.join("val"), &mask, &mut Vec::new())?;
    }
    let table: Vec<_> = (0u8..)
        .zip(CITYSCAPES_CLASSES)
        .map(|(train_id, row)| ([if train_ids { train_id } else { row.0 }], row))
        .collect();
    let table: Vec<(&[u8], &str, [u8; 3])> = table.iter().map(|(values, row)| (&values[..], row.1, row.2)).collect();
    found.classes = Some(MaskClasses::from_table(&table));
    Ok(Some(found))
}

/// `train/x.png` and `trainannot/x.png`, and so on: CamVid as SegNet's authors prepared it.
fn camvid(path: &Path) -> Result<Option<Found>> {
    if !path.join("train").is_dir() || !path.join("trainannot").is_dir() {
        return Ok(None);
    }
    let mut found = Found { kind: CAMVID, ..Found::default() };
    let same = |stem: &str| stem.to_owned();
    found.train = pair(&path.join("train"), &path.join("trainannot"), &same, &mut found.notes)?;
    for (name, set) in [("val", &mut found.val), ("test", &mut found.test)] {
        if path.join(name).is_dir() {
            *set = pair(&path.join(name), &path.join(format!("{name}annot")), &same, &mut found.notes)?;
        }
    }
    let values: Vec<[u8; 1]> = (0..CAMVID_CLASSES.len() as u8).map(|class| [class]).collect();
    let table: Vec<(&[u8], &str, [u8; 3])> =
        values.iter().zip(CAMVID_CLASSES).map(|(value, row)| (&value[..], row.0, row.1)).collect();
    found.classes = Some(MaskClasses::from_table(&table));
    Ok(Some(found))
}

/// Cityscapes' classes that are evaluated: the value in `labelIds`, the name, the colour; the place is the value in
/// `labelTrainIds` (<https://www.cityscapes-dataset.com>).
const CITYSCAPES_CLASSES: [(u8, &str, [u8; 3]); 19] = [
    (7, "road", [128, 64, 128]),
    (8, "sidewalk", [244, 35, 232]),
    (11, "building", [70, 70, 70]),
    (12, "wall", [102, 102, 156]),
    (13, "fence", [190, 153, 153]),
    (17, "pole", [153, 153, 153]),
    (19, "traffic light", [250, 170, 30]),
    (20, "traffic sign", [220, 220, 0]),
    (21, "vegetation", [107, 142, 35]),
    (22, "terrain", [152, 251, 152]),
    (23, "sky", [70, 130, 180]),
    (24, "person", [220, 20, 60]),
    (25, "rider", [255, 0, 0]),
    (26, "car", [0, 0, 142]),
    (27, "truck", [0, 0, 70]),
    (28, "bus", [0, 60, 100]),
    (31, "train", [0, 80, 100]),
    (32, "motorcycle", [0, 0, 230]),
    (33, "bicycle", [119, 11, 32]),
];

/// CamVid's eleven classes in the order of their values (Badrinarayanan et al. 2015, arXiv:1511.00561); the twelfth value is
/// no class.
const CAMVID_CLASSES: [(&str, [u8; 3]); 11] = [
    ("sky", [128, 128, 128]),
    ("building", [128, 0, 0]),
    ("pole", [192, 192, 128]),
    ("road", [128, 64, 128]),
    ("pavement", [60, 40, 222]),
    ("tree", [128, 128, 0]),
    ("sign", [192, 128, 128]),
    ("fence", [64, 64, 128]),
    ("car", [64, 0, 128]),
    ("pedestrian", [64, 64, 0]),
    ("bicyclist", [0, 128, 192]),
];
