//! One memory for many short-lived tensors.
//!
//! A network's activations live only from the step that writes them to the last step that reads
//! them. [`plan`] gives each a place in one buffer so that tensors alive at the same time never
//! share a float, and the buffer stays small.

/// Floats of one cache line: every tensor starts on one.
const LINE: usize = 16;

/// A tensor's size and lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Floats.
    pub len: usize,
    /// The step that writes it first.
    pub first: usize,
    /// The last step that reads or writes it, `first` or later; the tensor is alive in both.
    pub last: usize,
}

impl Request {
    fn meets(&self, other: &Request) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Where each tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of each request, in floats, a multiple of 16; in the order of the requests.
    pub offsets: Vec<usize>,
    /// Floats of the whole memory. Sizes that do not fit the address space saturate to
    /// `usize::MAX`, so a caller who cannot vouch for its sizes checks this before it allocates.
    pub total: usize,
}

/// Places tensors in one memory, the largest first, each into the tightest gap between the tensors
/// that are alive with it (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
/// Inference", 2020, section 5.2: greedy by size).
///
/// The same requests always give the same layout.
pub fn plan(requests: &[Request]) -> Layout {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(requests[index].len), requests[index].first, index));

    let mut offsets = vec![0; requests.len()];
    let mut total = 0;
    // Those already placed, lowest offset first: `(offset, end, index)`.
    let mut placed: Vec<(usize, usize, usize)> = Vec::with_capacity(requests.len());
    for index in order {
        let request = &requests[index];
        let len = request.len.checked_next_multiple_of(LINE).unwrap_or(usize::MAX);
        if len == 0 {
            continue;
        }
        let alive = placed.iter().filter(|(.., other)| requests[*other].meets(request));
        let offset = tightest_gap(alive.map(|&(offset, end, _)| (offset, end)), len);
        let end = offset.saturating_add(len);
        offsets[index] = offset;
        total = total.max(end);
        let at = placed.partition_point(|&(other, ..)| other <= offset);
        placed.insert(at, (offset, end, index));
    }
    Layout { offsets, total }
}

/// Start of the smallest gap of at least `len` between `taken` ranges, given lowest start first;
/// their common end where no gap is large enough.
fn tightest_gap(taken: impl Iterator<Item = (usize, usize)>, len: usize) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut free = 0;
    for (start, end) in taken {
        let gap = start.saturating_sub(free);
        if gap >= len && best.is_none_or(|(size, _)| gap < size) {
            best = Some((gap, free));
        }
        free = free.max(end);
    }
    best.map_or(free, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(len: usize, first: usize, last: usize) -> Request {
        Request { len, first, last }
    }

    #[test]
    fn a_chain_needs_two_neighbours_at_a_time() {
        let chain: Vec<Request> = (0..10).map(|step| request(160, step, step + 1)).collect();
        let layout = plan(&chain);
        assert_eq!(layout.total, 320);
        assert!(layout.offsets.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_tensor_kept_for_later_is_left_alone() {
        let layout = plan(&[request(16, 0, 9), request(16, 1, 2), request(16, 2, 3), request(16, 4, 5)]);
        assert_eq!(layout.total, 48);
        assert!(layout.offsets[1..].iter().all(|&offset| offset != layout.offsets[0]));
    }

    #[test]
    fn nothing_takes_no_room() {
        assert_eq!(plan(&[]), Layout { offsets: vec![], total: 0 });
        assert_eq!(plan(&[request(0, 0, 3), request(5, 0, 3)]).total, 16);
    }

    #[test]
    fn impossible_sizes_saturate() {
        assert_eq!(plan(&[request(usize::MAX, 0, 1), request(usize::MAX - 64, 1, 2)]).total, usize::MAX);
    }

    proptest! {
        #[test]
        fn tensors_alive_together_never_overlap(
            raw in prop::collection::vec((0usize..300, 0usize..40, 0usize..12), 0..60)
        ) {
            let requests: Vec<Request> =
                raw.iter().map(|&(len, first, life)| request(len, first, first + life)).collect();
            let layout = plan(&requests);
            prop_assert_eq!(layout.offsets.len(), requests.len());
            for (index, a) in requests.iter().enumerate() {
                let start = layout.offsets[index];
                prop_assert_eq!(start % LINE, 0);
                prop_assert!(start + a.len <= layout.total);
                for (other, b) in requests.iter().enumerate().skip(index + 1) {
                    let apart = start + a.len <= layout.offsets[other] || layout.offsets[other] + b.len <= start;
                    prop_assert!(apart || !a.meets(b) || a.len == 0 || b.len == 0);
                }
            }
            // Never below what is alive at once, never above what all need side by side.
            let rounded = |r: &Request| r.len.next_multiple_of(LINE);
            let alive = |step: usize| -> usize {
                requests.iter().filter(|r| r.first <= step && step <= r.last).map(rounded).sum()
            };
            prop_assert!(layout.total >= (0..60).map(alive).max().unwrap_or(0));
            prop_assert!(layout.total <= requests.iter().map(rounded).sum());
            prop_assert_eq!(plan(&requests), layout);
        }
    }
}
