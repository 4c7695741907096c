//! Many short lists in one piece.

/// A list of `T` for each of a number of places.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lists<T> {
    /// Where each list starts, and the end of the last.
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy + Default> Lists<T> {
    /// The list that `list` gives for each of `count` places.
    ///
    /// # Panics
    /// If there are 2³² items or more.
    pub(super) fn new<L: IntoIterator<Item = T>>(count: usize, mut list: impl FnMut(usize) -> L) -> Self {
        let mut starts = Vec::with_capacity(count + 1);
        let mut items = Vec::with_capacity(count);
        starts.push(0);
        for place in 0..count {
            items.extend(list(place));
            starts.push(u32::try_from(items.len()).expect("fewer than 2³² items"));
        }
        Self { starts, items }
    }

    /// Places.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The list of `place`.
    #[inline(always)]
    pub(super) fn get(&self, place: usize) -> &[T] {
        &self.items[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    /// The lists turned around: an item of `place` that names the place `to(item)` becomes the item
    /// `back(place, item)` of that one. Lists are ordered by the place that named them.
    pub(super) fn transposed<U: Copy + Default>(
        &self,
        count: usize,
        to: impl Fn(&T) -> usize,
        back: impl Fn(usize, &T) -> U,
    ) -> Lists<U> {
        let mut starts = vec![0; count + 1];
        for item in &self.items {
            starts[to(item) + 1] += 1;
        }
        for place in 0..count {
            starts[place + 1] += starts[place];
        }
        let mut next = starts.clone();
        let mut items = vec![U::default(); self.items.len()];
        for place in 0..self.len() {
            for item in self.get(place) {
                let next = &mut next[to(item)];
                items[*next as usize] = back(place, item);
                *next += 1;
            }
        }
        Lists { starts, items }
    }
}
