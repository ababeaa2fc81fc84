//! Puts frames in order: duplicates are dropped by number, early ones held until their turn.
//!
//! Early frames are held *sealed*: it is what may go to disk later, and opening them twice is rare.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Most bytes held of one peer. A queue that overtakes by more than this has lost something.
const MAX_HELD_BYTES: usize = 64 << 20;
/// Most bytes held of all peers of a session together, unless each then had less than a queue may overtake by.
const MAX_HELD_BYTES_IN_ALL: usize = 256 << 20;
const LEAST_HELD_BYTES: usize = 1 << 20;
/// What holding costs besides the bytes; else tiny frames would be free.
const FRAME_COST_BYTES: usize = 128;

/// When a frame's turn is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Now,
    /// It is held.
    Later,
    /// It is there already.
    Past,
    /// Too many wait for one that does not come; the frame is not held.
    Full,
}

#[derive(Debug)]
pub(crate) struct Order {
    next: u64,
    held: BTreeMap<u64, Bytes>,
    held_bytes: usize,
    most_bytes: usize,
}

impl Order {
    /// For one of this many peers.
    pub(crate) fn of_peers(peers: usize) -> Self {
        let most_bytes = (MAX_HELD_BYTES_IN_ALL / peers.max(1)).clamp(LEAST_HELD_BYTES, MAX_HELD_BYTES);
        Self { next: 0, held: BTreeMap::new(), held_bytes: 0, most_bytes }
    }

    /// The number that is waited for.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Number of frames that wait for an earlier one.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// A frame came. After `Now`, [`Order::release`] may have more.
    pub(crate) fn admit(&mut self, number: u64, sealed: &Bytes) -> Turn {
        if number < self.next || self.held.contains_key(&number) {
            return Turn::Past;
        }
        if number == self.next {
            self.next += 1;
            return Turn::Now;
        }
        let cost = sealed.len() + FRAME_COST_BYTES;
        if self.held_bytes + cost > self.most_bytes {
            return Turn::Full;
        }
        self.held_bytes += cost;
        self.held.insert(number, sealed.clone());
        Turn::Later
    }

    /// A held frame whose turn it is now.
    pub(crate) fn release(&mut self) -> Option<Bytes> {
        let sealed = self.held.remove(&self.next)?;
        self.held_bytes -= sealed.len() + FRAME_COST_BYTES;
        self.next += 1;
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds numbers as frames and returns the order in which they come out, and how many are held at the end.
    fn sorted(numbers: &[u64]) -> (Vec<u64>, usize) {
        let mut order = Order::of_peers(1);
        let mut out = Vec::new();
        for number in numbers {
            if order.admit(*number, &Bytes::from(number.to_le_bytes().to_vec())) == Turn::Now {
                out.push(*number);
                while let Some(sealed) = order.release() {
                    out.push(u64::from_le_bytes(sealed.as_ref().try_into().unwrap()));
                }
            }
        }
        assert_eq!(order.held_bytes, order.held() * (8 + FRAME_COST_BYTES));
        (out, order.held())
    }

    #[test]
    fn nothing_comes_out_behind_a_gap() {
        assert_eq!(sorted(&[0, 2, 3, 2, 4]), (vec![0], 3));
        assert_eq!(sorted(&[0, 2, 3, 2, 0, 1]), (vec![0, 1, 2, 3], 0));
    }

    #[test]
    fn what_is_held_is_bounded() {
        for (peers, most) in
            [(0, MAX_HELD_BYTES), (4, MAX_HELD_BYTES), (8, MAX_HELD_BYTES / 2), (5000, LEAST_HELD_BYTES)]
        {
            let mut order = Order::of_peers(peers);
            let frame = Bytes::from(vec![0; most / 4 - FRAME_COST_BYTES]);
            assert!((1..=4).all(|n| order.admit(n, &frame) == Turn::Later));
            assert_eq!(order.admit(5, &frame), Turn::Full);
        }
    }

    proptest! {
        #[test]
        fn any_order_with_duplicates_comes_out_sorted_once(
            numbers in Just((0..40).chain(10..20).collect::<Vec<u64>>()).prop_shuffle()
        ) {
            prop_assert_eq!(sorted(&numbers), ((0..40).collect::<Vec<u64>>(), 0));
        }
    }
}
