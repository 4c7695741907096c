//! Tensors whose values are in a file beside the model's.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use prost::bytes::Bytes;

use super::proto::{EXTERNAL, TensorProto};

/// The folder that such files may be in; none for a model that was read from memory.
pub(super) struct Folder(Option<PathBuf>);

impl Folder {
    /// The folder of a model file.
    pub(super) fn of(model: &Path) -> Self {
        let parent = model.parent().map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        Self(parent.map(Path::to_path_buf))
    }

    /// No folder.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The bytes of a tensor outside the typed fields: its own, or those of another file.
    pub(super) fn raw(&self, tensor: &TensorProto) -> Result<Option<Bytes>, String> {
        if tensor.data_location != Some(EXTERNAL) {
            return Ok(tensor.raw_data.clone());
        }
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.as_deref())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => {
                text.parse::<u64>().map(Some).map_err(|_| format!("its {key} `{text}` is no number of bytes"))
            }
        };
        let location = entry("location").ok_or("its values are in another file, which is not named")?;
        let (offset, length) = (number("offset")?.unwrap_or_default(), number("length")?);
        let fail = |e: io::Error| format!("its values are in `{location}`, which cannot be read: {e}");
        let path = self.find(location)?;
        let mut file = fs::File::open(path).map_err(fail)?;
        let meta = file.metadata().map_err(fail)?;
        if !meta.is_file() {
            return Err(format!("its values are in `{location}`, which is not a regular file"));
        }
        let left = meta.len().checked_sub(offset);
        let length = left.filter(|&left| length.unwrap_or(left) <= left).map(|left| length.unwrap_or(left));
        let length = length
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| format!("its values lie beyond the {} bytes of `{location}`", meta.len()))?;
        // No more than the tensor needs, whatever the file holds.
        let needed = super::array::dims(tensor).ok().as_deref().and_then(super::array::elements);
        let width = super::array::width(tensor.data_type.unwrap_or_default());
        if needed.zip(width).is_none_or(|(n, width)| n.saturating_mul(width) != length) {
            return Err(format!("its dimensions {:?} do not fill the {length} bytes in `{location}`", tensor.dims));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| format!("{length} bytes of memory could not be had"))?;
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        file.take(length as u64).read_to_end(&mut bytes).map_err(fail)?;
        Ok(Some(bytes.into()))
    }

    /// The file of that name, if it is within the folder when all links are followed.
    fn find(&self, location: &str) -> Result<PathBuf, String> {
        let folder = self.0.as_ref().ok_or("its values are in another file, but the model was read from memory")?;
        let outside = || format!("its values are in `{location}`, which is outside the model's folder: not read");
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(location).components().all(plain) {
            return Err(outside());
        }
        let fail = |e: io::Error| format!("its values are in `{location}`, which cannot be read: {e}");
        let folder = folder.canonicalize().map_err(fail)?;
        let path = folder.join(location).canonicalize().map_err(fail)?;
        if path.starts_with(&folder) { Ok(path) } else { Err(outside()) }
    }
}
