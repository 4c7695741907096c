//! Values brought to other places: channels side by side, pixels from pixels, elements from elements.
//!
//! [`channels`] copies a range of channels (and [`join`] computes on the way), [`resample`] makes pixels of weighted pixels, [`gather`] takes
//! single elements. Each has a description that can be turned around, so that the gradient is the same
//! kernel over [`Channels::reversed`], [`Taps::transposed`] or [`Gather::transposed`].

mod channels;
mod gather;
mod lists;
mod resample;

pub use channels::{Channels, Finish, channels, fill, join};
pub use gather::{Gather, gather};
pub use resample::{Axis, Taps, resample};

#[cfg(test)]
mod tests;
