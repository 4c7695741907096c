//! Data sets, decoding, augmentation, batches.
