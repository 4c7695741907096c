//! Pictures of one size held in memory, as IDX and CIFAR files pack them.

use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::picture::Picture;

/// How the bytes of a picture lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One plane.
    Grey,
    /// A red, a green and a blue plane.
    Planar,
}

impl Layout {
    fn planes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Planar => 3,
        }
    }
}

/// A run of records in one file.
pub(super) struct Part {
    pub(super) file: String,
    pub(super) count: usize,
}

/// A data set in memory.
pub(super) struct Packed {
    pub(super) parts: Vec<Part>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) layout: Layout,
    /// Picture after picture, without labels or headers.
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u8>,
    pub(super) classes: Arc<[String]>,
}

impl Packed {
    fn plane(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl Dataset for Packed {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        self.labels.get(index).map_or(0, |&l| u32::from(l))
    }

    fn describe(&self, index: usize) -> String {
        let mut at = index;
        for part in &self.parts {
            if at < part.count {
                return format!("{}[{at}]", part.file);
            }
            at -= part.count;
        }
        format!("picture {index} of {}", self.len())
    }

    fn decode_into(&self, index: usize, picture: &mut Picture) -> Result<()> {
        let plane = self.plane();
        let size = plane * self.layout.planes();
        let source = index
            .checked_mul(size)
            .and_then(|start| self.pixels.get(start..start.checked_add(size)?))
            .ok_or_else(|| DataError::picture(self.describe(index), "there is no such picture"))?;
        picture.reshape(self.width, self.height);
        match self.layout {
            Layout::Grey => {
                for (rgb, &grey) in picture.pixels.chunks_exact_mut(3).zip(source) {
                    rgb.fill(grey);
                }
            }
            Layout::Planar => {
                let (red, rest) = source.split_at(plane);
                let (green, blue) = rest.split_at(plane);
                let planes = red.iter().zip(green).zip(blue);
                for (rgb, ((&r, &g), &b)) in picture.pixels.chunks_exact_mut(3).zip(planes) {
                    rgb.copy_from_slice(&[r, g, b]);
                }
            }
        }
        Ok(())
    }
}
