//! Which pictures make which batch.

use std::ops::Range;

use crate::error::{DataError, Result};

/// What happens to the pictures that are left when the batches are full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastBatch {
    /// They are a smaller batch. For evaluation, which counts every picture.
    #[default]
    Keep,
    /// They are left out of this epoch.
    Drop,
    /// They are a smaller batch, but a single one joins the batch before it, which then has
    /// `batch_size + 1` pictures: batch normalisation has no variance to take of one value. For training.
    Merge,
}

/// The cut of `len` places into batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    len: usize,
    batch: usize,
    pub(super) count: usize,
}

impl Plan {
    pub(super) fn new(len: usize, batch: usize, last: LastBatch) -> Result<Self> {
        if batch == 0 {
            let expected = "at least 1";
            return Err(DataError::Option { name: "batch_size", value: "0".into(), expected });
        }
        let (full, left) = (len / batch, len % batch);
        let too_few = |why: String| Err(DataError::TooFewPictures { pictures: len, why });
        let count = match last {
            LastBatch::Keep => full + usize::from(left > 0),
            LastBatch::Drop if full == 0 => {
                return too_few(format!("a batch has {batch} and smaller ones are dropped"));
            }
            LastBatch::Drop => full,
            LastBatch::Merge if len == 0 => return too_few("there is nothing to train on".into()),
            LastBatch::Merge if left == 1 && full == 0 => {
                return too_few("batch normalisation cannot train on one picture".into());
            }
            LastBatch::Merge => full + usize::from(left > 1),
        };
        Ok(Self { len: if last == LastBatch::Drop { full * batch } else { len }, batch, count })
    }

    /// The places of batch `index`; empty from `count` on.
    pub(super) fn range(&self, index: usize) -> Range<usize> {
        if index >= self.count {
            return self.len..self.len;
        }
        let end = if index + 1 == self.count { self.len } else { (index + 1) * self.batch };
        index * self.batch..end
    }

    /// The most pictures a batch has.
    pub(super) fn max_len(&self) -> usize {
        // Only the last batch can be larger than those before it.
        self.count.checked_sub(1).map_or(0, |last| self.range(0).len().max(self.range(last).len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(len: usize, batch: usize, last: LastBatch) -> Vec<usize> {
        let plan = Plan::new(len, batch, last).unwrap();
        let sizes: Vec<_> = (0..plan.count).map(|i| plan.range(i).len()).collect();
        assert_eq!(plan.max_len(), sizes.iter().copied().max().unwrap_or(0));
        assert!(plan.range(plan.count).is_empty());
        sizes
    }

    #[test]
    fn the_last_batch_is_kept_dropped_or_merged() {
        assert_eq!(sizes(9, 4, LastBatch::Keep), [4, 4, 1]);
        assert_eq!(sizes(9, 4, LastBatch::Drop), [4, 4]);
        assert_eq!(sizes(9, 4, LastBatch::Merge), [4, 5]);
        assert_eq!(sizes(10, 4, LastBatch::Merge), [4, 4, 2]);
        assert_eq!(sizes(8, 4, LastBatch::Merge), [4, 4]);
        assert_eq!(sizes(3, 4, LastBatch::Merge), [3]);
        assert_eq!(sizes(3, 2, LastBatch::Merge), [3]);
        assert_eq!(sizes(0, 4, LastBatch::Keep), [0; 0]);
        // Who asks for batches of one gets them.
        assert_eq!(sizes(3, 1, LastBatch::Merge), [1, 1, 1]);
    }

    #[test]
    fn what_cannot_make_a_batch_is_an_error() {
        assert!(Plan::new(5, 0, LastBatch::Keep).is_err());
        assert!(Plan::new(3, 4, LastBatch::Drop).is_err());
        assert!(Plan::new(1, 4, LastBatch::Merge).is_err());
        assert!(Plan::new(0, 4, LastBatch::Merge).is_err());
    }
}
